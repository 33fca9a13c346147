from pathlib import Path

import numpy as np
import pytest

from recommender_serving.engine.array_files import DamagedFileError, NewDirectory, read_arrays, sha256_of

ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_directory_appears_when_all_is_written(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with NewDirectory(target) as new:
        digest = new.write_array("a", ARRAY)
        new.write_bytes("note.txt", b"x")
        assert not target.exists()
    assert sorted(path.name for path in target.iterdir()) == ["a.npy", "note.txt"]
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    assert digest == sha256_of(target / "a.npy")
    assert np.array_equal(read_arrays(target, {"a": digest}, {"a": np.float32})["a"], ARRAY)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"), NewDirectory(tmp_path / "model") as new:
        new.write_array("a", np.array([None]))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_directory_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(FileExistsError, match="exists already"), NewDirectory(tmp_path / "model"):
        pass
    with pytest.raises(FileExistsError, match="exists already"), NewDirectory(tmp_path / "late"):
        (tmp_path / "late").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "model"]


def test_transposed_and_empty_arrays_are_stored_row_by_row(tmp_path: Path) -> None:
    arrays = {"t": ARRAY.T, "e": np.empty((0, 3), dtype=np.float32)}
    with NewDirectory(tmp_path / "model") as new:
        digests = {name: new.write_array(name, array) for name, array in arrays.items()}
    read = read_arrays(tmp_path / "model", digests, {"t": np.float32, "e": np.float32})
    assert np.array_equal(read["t"], ARRAY.T)
    assert read["e"].shape == (0, 3)
    assert not read["t"].flags.writeable


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ARRAY.astype(np.float64), r"a\.npy: expected a C-contiguous array of float32, got float64"),
        (ARRAY.astype(">f4"), r"a\.npy: expected a C-contiguous array of float32, got >f4"),
        (np.asfortranarray(ARRAY), r"a\.npy: expected a C-contiguous array of float32"),
        (np.array([None]), r"a\.npy: "),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DamagedFileError, match=message):
        read_arrays(tmp_path, {"a": sha256_of(tmp_path / "a.npy")}, {"a": np.float32})


def test_a_file_that_is_no_array_is_refused_even_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"text")
    with pytest.raises(DamagedFileError, match=r"a\.npy: "):
        read_arrays(tmp_path, {"a": sha256_of(tmp_path / "a.npy")}, {"a": np.float32})


def test_a_file_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY)
    with pytest.raises(DamagedFileError, match=r"a\.npy: the manifest does not list it"):
        read_arrays(tmp_path, {}, {"a": np.float32})
