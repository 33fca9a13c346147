from pathlib import Path

import pytest

from recommender_serving.engine.atomic_files import replace_file, temporary_sibling


def test_replace_creates_folders_and_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_replace_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")

    def fail(_: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("recommender_serving.engine.atomic_files.sync", fail)
    with pytest.raises(OSError, match="disk full"):
        replace_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_names_are_unused_and_beside(tmp_path: Path) -> None:
    names = {temporary_sibling(tmp_path / "file") for _ in range(20)}
    assert len(names) == 20
    assert {name.parent for name in names} == {tmp_path}
