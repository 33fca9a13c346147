from pathlib import Path

import pytest

from recommender_assets.defs.champion.checks import champion_is_loadable
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    DamagedPointerError,
    pointer_path,
    version_directory,
    write_pointer,
)
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@pytest.fixture
def deployed(settings: Settings) -> dict[str, Path]:
    """A champion and its peer, both sound; folder by version."""
    found = {}
    for algorithm in ("svd", "nmf"):
        directory = version_directory(settings.root, f"{algorithm}-1")
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, make_model(algorithm, version=f"{algorithm}-1"))
        found[f"{algorithm}-1"] = directory
    pointer = ChampionPointer(
        version="svd-1",
        predecessor="svd-0",
        deployed={"svd": "svd-1", "nmf": "nmf-1"},
        promoted_at="2026-01-01T00:00:00Z",
    )
    write_pointer(settings.root, pointer)
    return found


def test_without_a_champion_there_is_nothing_to_load(settings: Settings) -> None:
    result = champion_is_loadable(settings=settings)
    assert not result.passed
    assert result.description == "there is no champion yet"


def test_a_sound_champion_passes_without_its_predecessor(settings: Settings, deployed: dict[str, Path]) -> None:
    result = champion_is_loadable(settings=settings)
    assert result.passed
    assert result.description is None
    assert result.metadata["champion"].value == "svd-1"


@pytest.mark.parametrize("version", ["svd-1", "nmf-1"])
def test_damage_to_any_deployed_model_is_found(settings: Settings, deployed: dict[str, Path], version: str) -> None:
    (deployed[version] / "titles_data.npy").unlink()
    result = champion_is_loadable(settings=settings)
    assert not result.passed
    assert "titles_data" in str(result.description)


def test_a_damaged_pointer_does_not_pass(settings: Settings, deployed: dict[str, Path]) -> None:
    pointer_path(settings.root).write_bytes(b"{")
    with pytest.raises(DamagedPointerError):
        champion_is_loadable(settings=settings)
