import hashlib
from pathlib import Path

import pytest

from recommender_assets.local import jars
from recommender_assets.local.jars import JAR_SETS, JarError, differing_jars, read_lock, resolve_jars, write_lock

CONTENT = b"a jar"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PROJECT = Path(__file__).parents[4]


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    path.write_text("".join(f"{DIGEST}  {jar_set}/x.jar\n" for jar_set in JAR_SETS), encoding="utf-8")
    return path


@pytest.fixture
def resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Puts a program in Ivy's place that writes x.jar where it is told to; returns the commands it got."""
    calls: list[list[str]] = []
    program = tmp_path / "java"
    program.write_text(
        "#!/bin/sh\n"
        'for last; do :; done\nmkdir -p "$(dirname "$last")"\n'
        'printf "%s" "${JAR_CONTENT-a jar}" > "$(dirname "$last")/x.jar"\n'
        'echo "  found x in y"; echo "  [SUCCESSFUL ] x"; exit ${JAR_EXIT-0}\n',
        encoding="utf-8",
    )
    program.chmod(0o755)

    def java() -> str:
        calls.append([])
        return str(program)

    monkeypatch.setattr(jars, "java_command", java)
    return calls


def test_missing_jars_are_resolved_once(tmp_path: Path, lock_file: Path, resolver: list[list[str]]) -> None:
    steps: list[tuple[str, int, int]] = []
    resolve_jars(tmp_path / "jars", lock_file, lambda *step: steps.append(step))
    assert {path.parent.name for path in (tmp_path / "jars").glob("*/x.jar")} == set(JAR_SETS)
    assert steps == [(jar_set, done, 2) for jar_set in JAR_SETS for done in (1, 2)]
    resolve_jars(tmp_path / "jars", lock_file)
    assert len(resolver) == len(JAR_SETS), "the second call starts nothing"


@pytest.mark.parametrize("damage", ["delete", "change", "add"])
def test_a_damaged_folder_is_mended(tmp_path: Path, lock_file: Path, resolver: list[list[str]], damage: str) -> None:
    resolve_jars(tmp_path / "jars", lock_file)
    folder = tmp_path / "jars" / "kafka"
    if damage == "delete":
        (folder / "x.jar").unlink()
    else:
        (folder / ("x.jar" if damage == "change" else "y.jar")).write_bytes(b"other")
    resolve_jars(tmp_path / "jars", lock_file)
    assert [path.read_bytes() for path in folder.iterdir()] == [CONTENT]


def test_a_jar_with_another_hash_is_refused(
    tmp_path: Path, lock_file: Path, resolver: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAR_CONTENT", "not the pinned one")
    with pytest.raises(JarError, match=r"spark jars are not those of .*x\.jar"):
        resolve_jars(tmp_path / "jars", lock_file)
    assert not (tmp_path / "jars" / "spark").exists()


def test_a_failing_resolver_shows_what_it_said(
    tmp_path: Path, lock_file: Path, resolver: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAR_EXIT", "1")
    with pytest.raises(JarError, match=r"(?s)resolving the spark jars failed.*found x in y"):
        resolve_jars(tmp_path / "jars", lock_file)


def test_the_lock_that_is_written_is_the_lock_that_is_read(tmp_path: Path, resolver: list[list[str]]) -> None:
    write_lock(tmp_path / "jars", tmp_path / "new.lock")
    assert read_lock(tmp_path / "new.lock") == {jar_set: {"x.jar": DIGEST} for jar_set in JAR_SETS}


@pytest.mark.parametrize(
    "line", ["", f"{DIGEST} spark/x.jar", f"{DIGEST}  flink/x.jar", "abc  spark/x.jar", f"{DIGEST}  spark/"]
)
def test_a_lock_of_another_form_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "jars.lock").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(JarError, match="expected '<sha256>"):
        read_lock(tmp_path / "jars.lock")


def test_a_missing_lock_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(JarError, match="from the project's folder"):
        read_lock(tmp_path / "jars.lock")


def test_differences_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(CONTENT)
    (tmp_path / "b.jar").write_bytes(CONTENT)
    assert differing_jars(tmp_path, {"a.jar": DIGEST, "b.jar": "0" * 64, "c.jar": DIGEST}) == ["b.jar", "c.jar"]


def test_the_projects_lock_pins_delta_kafka_source_and_broker() -> None:
    pinned = read_lock(PROJECT / "requirements" / "jars.lock")
    assert {"delta-spark_4.2_2.13-4.4.0.jar", "spark-sql-kafka-0-10_2.13-4.2.0.jar"} <= pinned["spark"].keys()
    assert "kafka_2.13-4.1.1.jar" in pinned["kafka"]
