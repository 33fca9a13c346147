import stat
from pathlib import Path

import pytest

from recommender_assets.local import prerequisites


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_431"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("command not understood", None),
    ],
)
def test_java_major_version_reads_old_and_new_numbering(output: str, version: int | None) -> None:
    assert prerequisites.java_major_version(output) == version


def fake_java(folder: Path, version: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n", encoding="utf-8")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    return java


def test_java_home_wins_over_the_path(tmp_path: Path) -> None:
    java = fake_java(tmp_path, "17.0.1")
    assert prerequisites.java_command({"JAVA_HOME": str(tmp_path)}) == str(java)


def test_a_good_java_is_no_problem(tmp_path: Path) -> None:
    fake_java(tmp_path, "21.0.2")
    assert prerequisites.java_problem({"JAVA_HOME": str(tmp_path)}) is None


def test_an_old_java_is_named_with_its_version_and_the_command_that_installs_a_new_one(
    tmp_path: Path,
) -> None:
    java = fake_java(tmp_path, "11.0.2")
    problem = prerequisites.java_problem({"JAVA_HOME": str(tmp_path)})
    assert problem is not None
    assert f"{java} is version 11" in problem
    assert "Install it: " in problem


def test_a_missing_java_is_named_with_the_place_that_was_searched(tmp_path: Path) -> None:
    problem = prerequisites.java_problem({"JAVA_HOME": str(tmp_path / "nothing")})
    assert problem is not None
    assert "Java 17 or newer is missing" in problem
    assert str(tmp_path / "nothing") in problem


def test_missing_prerequisites_is_empty_on_a_complete_machine(tmp_path: Path) -> None:
    fake_java(tmp_path, "17")
    assert prerequisites.missing_prerequisites({"JAVA_HOME": str(tmp_path)}) == []


@pytest.mark.parametrize("manager", list(prerequisites.PACKAGE_MANAGERS))
def test_install_command_fits_the_package_manager_at_hand(manager: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites.shutil, "which", lambda name: f"/bin/{name}" if name == manager else None)
    command = prerequisites.install_command(prerequisites.JAVA_PACKAGES)
    assert manager.removesuffix("-get") in command
    assert "17" in command


def test_install_command_without_a_known_package_manager_still_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prerequisites.shutil, "which", lambda _name: None)
    assert "openjdk-17-jre-headless" in prerequisites.install_command(prerequisites.JAVA_PACKAGES)
