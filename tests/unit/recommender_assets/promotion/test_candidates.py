import os
from pathlib import Path

import pytest

from recommender_assets.promotion.candidates import (
    KEPT_CANDIDATES,
    NoCandidateError,
    candidate_directory,
    newest_candidate,
    prune,
)


def folder(directory: Path, name: str, age: int = 0) -> Path:
    path = directory / name
    path.mkdir(parents=True)
    (path / "manifest.json").write_text("{}")
    os.utime(path, (10_000 - age, 10_000 - age))
    return path


def test_a_candidate_lives_below_models(tmp_path: Path) -> None:
    assert candidate_directory(tmp_path, "svd-1") == tmp_path / "models" / "svd-1"


def test_the_name_and_not_the_time_of_the_folder_tells_the_newest(tmp_path: Path) -> None:
    folder(tmp_path / "models", "svd-20260102T000000Z-0a", age=500)
    folder(tmp_path / "models", "svd-20251231T235959Z-ff", age=0)
    assert newest_candidate(tmp_path, "svd") == "svd-20260102T000000Z-0a"


def test_what_is_half_written_or_no_folder_is_no_candidate(tmp_path: Path) -> None:
    folder(tmp_path / "models", "svd-20260101T000000Z-0a")
    folder(tmp_path / "models", ".svd-20260102T000000Z-0b.abc.tmp")
    (tmp_path / "models" / "svd-20260103T000000Z.txt").write_text("notes")
    assert newest_candidate(tmp_path, "svd") == "svd-20260101T000000Z-0a"


def test_another_algorithm_is_no_candidate(tmp_path: Path) -> None:
    folder(tmp_path / "models", "nmf-20260101T000000Z-0a")
    with pytest.raises(NoCandidateError, match=r"no trained svd model .* materialise svd_model first"):
        newest_candidate(tmp_path, "svd")


def test_few_folders_are_all_kept(tmp_path: Path) -> None:
    for age in range(KEPT_CANDIDATES):
        folder(tmp_path, f"svd-{age}", age)
    assert prune(tmp_path, set(), KEPT_CANDIDATES) == []
    assert len(list(tmp_path.iterdir())) == KEPT_CANDIDATES


def test_the_oldest_folder_goes_with_everything_in_it(tmp_path: Path) -> None:
    oldest = folder(tmp_path, "svd-oldest", age=100)
    for age in range(KEPT_CANDIDATES):
        folder(tmp_path, f"svd-{age}", age)
    assert prune(tmp_path, {"svd-0"}, KEPT_CANDIDATES) == ["svd-oldest"]
    assert not oldest.exists()


def test_files_and_folders_being_written_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    unfinished = folder(tmp_path, ".svd-9.abc.tmp", age=1_000)
    notes = tmp_path / "README"
    notes.write_text("keep")
    os.utime(notes, (1, 1))
    for age in range(KEPT_CANDIDATES):
        folder(tmp_path, f"svd-{age}", age)
    assert prune(tmp_path, set(), KEPT_CANDIDATES) == []
    assert unfinished.exists()
    assert notes.exists()


def test_needed_folders_do_not_push_out_the_newest(tmp_path: Path) -> None:
    for age in range(10):
        folder(tmp_path, f"svd-{age}", age)
    needed = {"svd-9", "svd-8", "never-there"}
    prune(tmp_path, needed, KEPT_CANDIDATES)
    newest = {f"svd-{age}" for age in range(KEPT_CANDIDATES)}
    assert {path.name for path in tmp_path.iterdir()} == newest | {"svd-9", "svd-8"}
