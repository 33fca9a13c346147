from pathlib import Path

import msgspec
import pytest

from recommender_assets.evaluation.evaluation import evaluate
from recommender_assets.features.matrix import load_matrix, matrix_directory, save_matrix
from recommender_assets.promotion.candidates import ALGORITHMS
from recommender_assets.promotion.contenders import hold_contest, train_candidate
from recommender_assets.promotion.policy import decide
from recommender_assets.promotion.publication import publish
from recommender_assets.settings import ModelsSettings, NmfSettings, Settings, SvdSettings, load_settings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_serving.engine.factor_model import read_model
from tests.matrices import random_matrix


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    models = ModelsSettings(svd=SvdSettings(factors=4, epochs=3), nmf=NmfSettings(factors=4, iterations=2))
    save_matrix(matrix_directory(tmp_path), random_matrix())
    return msgspec.structs.replace(settings, models=models)


def test_candidates_and_champion_are_measured_on_the_same_hold_out(settings: Settings) -> None:
    steps: list[str] = []
    made = [train_candidate(name, settings, lambda stage, *_: steps.append(stage)) for name in ("svd", "nmf")]
    assert steps
    assert [read_model(candidate.directory).version for candidate in made] == [c.manifest.version for c in made]

    first = hold_contest(settings)
    assert [standing.algorithm for standing in first.candidates] == list(ALGORITHMS)
    assert first.champion is None
    matrix = load_matrix(matrix_directory(settings.root))
    held_out = hold_out_mask(matrix, settings.training.hold_out_share)
    assert first.hold_out == held_out.sum() > 0
    svd = evaluate({"svd": read_model(made[0].directory)}, matrix, held_out)["svd"]
    assert first.candidates[0].metrics["rmse"] == pytest.approx(svd.metrics["rmse"])
    assert first.candidates[0].floors["rmse"] == pytest.approx(svd.floors.values["rmse"])
    assert set(first.protocols) >= set(first.candidates[0].metrics)
    low, high = first.candidates[0].intervals["rmse"]
    assert low < first.candidates[0].metrics["rmse"] < high
    (difference,) = first.differences
    assert (difference.left, difference.right) == tuple(c.manifest.version for c in made)
    assert difference.metrics["rmse"].value == pytest.approx(
        first.candidates[0].metrics["rmse"] - first.candidates[1].metrics["rmse"]
    )
    assert set(first.candidates[0].curves["catalogue_recall"]) == {"model", "random", "popularity"}

    no_floors = [msgspec.structs.replace(standing, floors={}) for standing in first.candidates]
    decision = decide(no_floors, None, settings.promotion)
    publish(settings.root, decision)
    second = hold_contest(settings)
    assert second.champion is not None
    assert second.champion.version == decision.champion
    assert second.champion in second.candidates
