from pathlib import Path

import pytest

from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    DamagedPointerError,
    champion_directory,
    pointer_path,
    read_pointer,
    version_directory,
    write_pointer,
)

POINTER = ChampionPointer(
    version="svd-2",
    predecessor="nmf-1",
    deployed={"svd": "svd-2", "nmf": "nmf-1"},
    promoted_at="2024-01-01T00:00:00Z",
    reason="rmse 0.88 < 0.90",
)


def test_no_champion_yet(tmp_path: Path) -> None:
    assert read_pointer(tmp_path) is None


def test_a_pointer_comes_back_and_is_replaced(tmp_path: Path) -> None:
    first = ChampionPointer(version="nmf-1", predecessor=None, deployed={}, promoted_at="2023-12-01T00:00:00Z")
    write_pointer(tmp_path, first)
    assert read_pointer(tmp_path) == first
    write_pointer(tmp_path, POINTER)
    assert read_pointer(tmp_path) == POINTER
    assert [path.name for path in champion_directory(tmp_path).iterdir()] == ["CHAMPION.json"]


def test_versions_live_below_the_champion(tmp_path: Path) -> None:
    assert version_directory(tmp_path, "svd-2") == tmp_path / "champion" / "versions" / "svd-2"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": "a"}',
        b"\xff",
        b'{"version":"../../etc","predecessor":null,"deployed":{},"promoted_at":""}',
        b'{"version":"a","predecessor":"..","deployed":{},"promoted_at":""}',
        b'{"version":"a","predecessor":null,"deployed":{"svd":"a/b"},"promoted_at":""}',
        b'{"version":5,"predecessor":null,"deployed":{},"promoted_at":""}',
        b'{"version":"\xff","predecessor":null,"deployed":{},"promoted_at":""}',
    ],
)
def test_a_damaged_pointer_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    pointer_path(tmp_path).parent.mkdir()
    pointer_path(tmp_path).write_bytes(content)
    with pytest.raises(DamagedPointerError, match=r"CHAMPION\.json: "):
        read_pointer(tmp_path)


@pytest.mark.parametrize("version", ["", "..", ".hidden", "a/b", "a\\b", "a\n", "x" * 129])
def test_a_version_is_a_plain_folder_name(tmp_path: Path, version: str) -> None:
    with pytest.raises(ValueError, match="version must be a folder name"):
        version_directory(tmp_path, version)
