from pathlib import Path

import numpy as np
import pytest

from recommender_assets.experiments.simulation.storage import new_simulation_root
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer, version_directory, write_pointer
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.factor_model import read_model, write_model
from recommender_serving.engine.manifest import Position
from tests.factories import make_model

PAST = Position(topic="user_interactions", topic_id="abc", next_offsets={"0": 1_000})


def definition(**treatment: object) -> ExperimentDefinition:
    variants = {"control": Variant(algorithm="svd"), "treatment": Variant(**{"algorithm": "nmf", **treatment})}  # type: ignore[arg-type]
    return ExperimentDefinition(name="one", variants=variants)


@pytest.fixture
def deployed(tmp_path: Path) -> dict[str, str]:
    versions = {}
    for algorithm in ("svd", "nmf"):
        model = make_model(algorithm, position=PAST)
        directory = version_directory(tmp_path, model.version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, model)
        versions[algorithm] = model.version
    write_pointer(
        tmp_path, ChampionPointer(version=versions["svd"], predecessor=None, deployed=versions, promoted_at="now")
    )
    return versions


def test_the_models_are_there_without_their_position(tmp_path: Path, deployed: dict[str, str]) -> None:
    root = new_simulation_root(tmp_path, definition())
    assert read_pointer(root) == read_pointer(tmp_path)
    for version in deployed.values():
        original, copy = (read_model(version_directory(place, version)) for place in (tmp_path, root))
        assert copy.manifest.position == Position()
        assert original.manifest.position == PAST
        np.testing.assert_array_equal(copy.ranking.item_factors, original.ranking.item_factors)


def test_a_second_simulation_starts_from_nothing(tmp_path: Path, deployed: dict[str, str]) -> None:
    (new_simulation_root(tmp_path, definition()) / "left.txt").touch()
    assert not (new_simulation_root(tmp_path, definition()) / "left.txt").exists()


def test_without_a_champion_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model is deployed: train one first"):
        new_simulation_root(tmp_path, definition())


def test_a_variant_that_cannot_be_served_is_refused(tmp_path: Path, deployed: dict[str, str]) -> None:
    known = rf"variants\.treatment\.version: expected a published version of nmf \({deployed['nmf']}\), got 'nmf-2'"
    with pytest.raises(ValueError, match=known):
        new_simulation_root(tmp_path, definition(version="nmf-2"))
    only_svd = {"svd": deployed["svd"]}
    write_pointer(
        tmp_path, ChampionPointer(version=deployed["svd"], predecessor=None, deployed=only_svd, promoted_at="now")
    )
    with pytest.raises(ValueError, match=r"variants\.treatment\.algorithm: expected one that is deployed \(svd\), got"):
        new_simulation_root(tmp_path, definition())


def test_a_version_that_a_variant_names_comes_along(tmp_path: Path, deployed: dict[str, str]) -> None:
    older = make_model("nmf", version="nmf-20230101T000000Z-older", position=PAST)
    write_model(version_directory(tmp_path, older.version), older)
    root = new_simulation_root(tmp_path, definition(version=older.version))
    assert read_model(version_directory(root, older.version)).manifest.position == Position()
