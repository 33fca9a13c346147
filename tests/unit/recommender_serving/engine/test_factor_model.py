import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from recommender_serving.engine.array_files import sha256_of
from recommender_serving.engine.factor_model import (
    DamagedModelError,
    FactorModel,
    HeadScalars,
    read_model,
    write_model,
)
from recommender_serving.engine.model_rules import LAYOUT
from tests.factories import make_model

ROWS = ("item", "event_type", "rating", "timestamp_us", "event_key")
FILES = ["manifest.json", "manifest.sha256", *(f"{name}.npy" for name in LAYOUT)]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "svd"
    write_model(directory, make_model("svd"))
    return directory


@pytest.fixture
def directory(intact: Path, tmp_path: Path) -> Path:
    """A copy of a valid model directory that the test may damage."""
    return Path(shutil.copytree(intact, tmp_path / "model"))


def assert_damaged(directory: Path, message: str) -> None:
    with pytest.raises(DamagedModelError) as raised:
        read_model(directory)
    assert str(raised.value).startswith(f"{directory}: ")
    assert message in str(raised.value)


def assert_equal(part: Any, other: Any) -> None:
    """Compare dataclasses of arrays field by field."""
    for name, value in vars(part).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, getattr(other, name), equal_nan=value.dtype.kind == "f"), name
        elif name in {"titles", "categories"}:
            assert value[:] == getattr(other, name)[:]
        else:
            assert value == getattr(other, name), name


def sign_again(directory: Path, array: str | None = None, **changes: Any) -> None:
    """Make manifest and digests agree with altered content, as a careless writer would."""
    manifest = msgspec.json.decode((directory / "manifest.json").read_bytes()) | changes
    if array:
        manifest["files"][array] = sha256_of(directory / f"{array}.npy")
    (directory / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (directory / "manifest.sha256").write_text(sha256_of(directory / "manifest.json") + "\n", encoding="ascii")


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_model_comes_back(tmp_path: Path, algorithm: str) -> None:
    model = make_model(algorithm)
    manifest = write_model(tmp_path / "model", model)
    read = read_model(tmp_path / "model")
    assert read.manifest == manifest
    assert manifest == msgspec.structs.replace(model.manifest, scalars=manifest.scalars, files=manifest.files)
    assert manifest.files.keys() == LAYOUT.keys()
    assert (read.algorithm, read.version, read.n_users, read.n_items) == (algorithm, model.version, 6, 12)
    assert read.user_ids[:] == model.user_ids[:]
    assert read.item_ids[:] == model.item_ids[:]
    assert np.array_equal(read.popularity, model.popularity)
    for name in ("rating", "ranking", "history", "catalogue"):
        assert_equal(getattr(model, name), getattr(read, name))
    assert not read.ranking.item_factors.flags.writeable
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(FILES)


def test_a_model_without_users_comes_back(tmp_path: Path) -> None:
    model = make_model("svd", n_users=2)
    nobody = replace(
        model,
        user_ids=type(model.user_ids).from_strings([]),
        rating=replace(model.rating, user_factors=np.empty((0, 4), np.float32), user_bias=np.empty(0, np.float32)),
        ranking=replace(model.ranking, user_factors=np.empty((0, 4), np.float32)),
        history=replace(
            model.history, indptr=np.zeros(1, np.int64), **{name: getattr(model.history, name)[:0] for name in ROWS}
        ),
    )
    write_model(tmp_path / "model", nobody)
    assert read_model(tmp_path / "model").n_users == 0


def test_an_existing_directory_is_refused(directory: Path) -> None:
    with pytest.raises(FileExistsError, match="exists already"):
        write_model(directory, make_model("nmf"))
    assert read_model(directory).algorithm == "svd"


def test_a_model_that_breaks_a_rule_is_not_written(tmp_path: Path) -> None:
    model = make_model("svd")
    wrong = replace(model, popularity=model.popularity.astype(np.float64))
    with pytest.raises(ValueError, match="popularity: expected float32, got float64"):
        write_model(tmp_path / "model", wrong)
    with pytest.raises(ValueError, match="regularization must be greater than 0"):
        write_model(tmp_path / "model", replace(model, rating=replace(model.rating, regularization=0.0)))
    assert list(tmp_path.iterdir()) == []


def test_the_gram_is_that_of_the_stored_factors() -> None:
    head = make_model("svd").ranking
    y = head.item_factors.astype(np.float64)
    assert head.gram == pytest.approx(0.1 * y.T @ y)
    assert head.gram.dtype == np.float64
    assert head.gram is head.gram


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert_damaged(directory, name)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(directory: Path, name: str) -> None:
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(content[: len(content) // 2])
    assert_damaged(directory, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_flipped_bit_is_named(directory: Path, name: str, place: float) -> None:
    content = bytearray((directory / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (directory / name).write_bytes(content)
    assert_damaged(directory, name)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_file_is_named(directory: Path, name: str) -> None:
    (directory / name).write_bytes(b"")
    assert_damaged(directory, name)


def test_a_folder_in_place_of_a_file_is_named(directory: Path) -> None:
    (directory / "popularity.npy").unlink()
    (directory / "popularity.npy").mkdir()
    assert_damaged(directory, "popularity.npy")


def test_foreign_directories_are_refused(tmp_path: Path) -> None:
    assert_damaged(tmp_path / "absent", "so this is no model directory")
    assert_damaged(tmp_path, "so this is no model directory")
    (tmp_path / "manifest.json").write_text('{"name": "web app"}', encoding="utf-8")
    assert_damaged(tmp_path, "manifest.sha256")
    (tmp_path / "manifest.sha256").write_text(sha256_of(tmp_path / "manifest.json") + "\n", encoding="ascii")
    assert_damaged(tmp_path, "missing required field")


def test_a_file_of_another_model_is_refused(directory: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "other", make_model("svd", seed=1))
    shutil.copy(tmp_path / "other" / "ranking_item_factors.npy", directory)
    assert_damaged(directory, "ranking_item_factors.npy: SHA-256 is")


@pytest.mark.parametrize("name", LAYOUT)
def test_a_wrong_type_is_named_even_when_it_is_signed(directory: Path, name: str) -> None:
    array = np.load(directory / f"{name}.npy")
    np.save(directory / f"{name}.npy", array.astype(np.float64))
    sign_again(directory, name)
    assert_damaged(directory, f"{name}.npy: expected a C-contiguous array of {np.dtype(LAYOUT[name][0])}")


@pytest.mark.parametrize("name", LAYOUT)
def test_a_wrong_length_is_named_even_when_it_is_signed(directory: Path, name: str) -> None:
    array = np.load(directory / f"{name}.npy")
    np.save(directory / f"{name}.npy", array[:-1])
    sign_again(directory, name)
    assert_damaged(directory, ":")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 99}, "format_version must be 1"),
        ({"algorithm": "knn"}, "algorithm must be one of svd, nmf"),
        ({"scalars": None}, "scalars are missing"),
        ({"files": {}}, "the manifest does not list it"),
        ({"position": 5}, "$.position"),
        ({"scale": {"min": 5, "max": 1}}, "min must be a finite number below max"),
    ],
)
def test_a_wrong_manifest_is_named_even_when_it_is_signed(
    directory: Path, changes: dict[str, Any], message: str
) -> None:
    sign_again(directory, **changes)
    assert_damaged(directory, message)


def test_negative_factors_in_a_non_negative_head_are_refused(directory: Path) -> None:
    scalars = read_model(directory).manifest.scalars
    assert isinstance(scalars, HeadScalars)
    changed = msgspec.structs.replace(scalars, ranking_non_negative=True)
    sign_again(directory, scalars=msgspec.to_builtins(changed))
    assert_damaged(directory, "ranking_item_factors: holds a negative number in a non-negative head")


def test_a_read_model_can_be_written_again(intact: Path, tmp_path: Path) -> None:
    read: FactorModel = read_model(intact)
    assert write_model(tmp_path / "copy", read).files == read.manifest.files
