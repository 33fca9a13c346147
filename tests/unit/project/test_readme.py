import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_first_commands_of_the_readme_are_the_two_promised_ones() -> None:
    first_block = re.search(r"```(?:sh|console)\n(.*?)```", README, re.DOTALL)
    assert first_block is not None
    commands = [line.split("#")[0].strip() for line in first_block[1].splitlines() if line.strip()]
    assert commands == ["make demo", "make test"]


def test_every_make_command_of_the_readme_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)\b", README))
    assert {"demo", "test"} <= named
    assert named <= targets


def test_every_recommender_command_of_the_readme_exists() -> None:
    from recommender_assets.cli import main

    named = set(re.findall(r"`recommender ([a-z-]+)", README))
    assert named
    assert named <= set(main.commands)


def test_continuous_integration_runs_check_and_test() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make check", "make test"]


def test_lock_files_pin_every_package_by_hash_and_name_no_index() -> None:
    for name in ("all", "serving"):
        text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
        packages = re.findall(r"^[a-zA-Z0-9_.-]+==[^\n]*\n", text, re.MULTILINE)
        assert len(packages) > 20
        assert all(line.rstrip().endswith("\\") for line in packages)
        assert "://" not in text


def test_the_service_installs_without_the_offline_half() -> None:
    serving = (ROOT / "requirements" / "serving.lock").read_text(encoding="utf-8")
    installed = set(re.findall(r"^([a-zA-Z0-9_.-]+)==", serving, re.MULTILINE))
    assert {"litestar", "confluent-kafka", "msgspec", "numpy"} <= installed
    assert not installed & {"dagster", "pyspark", "mlflow", "scipy", "scikit-learn", "numba", "pandas", "pyarrow"}
