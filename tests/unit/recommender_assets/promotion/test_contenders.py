from pathlib import Path

import msgspec
import pytest

from recommender_assets.features.matrix import save_matrix
from recommender_assets.promotion.candidates import ALGORITHMS
from recommender_assets.promotion.contenders import hold_contest, matrix_directory, train_candidate
from recommender_assets.promotion.policy import decide
from recommender_assets.promotion.publication import publish
from recommender_assets.settings import ModelsSettings, NmfSettings, Settings, SvdSettings, load_settings
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
    assert first.hold_out > 0
    assert set(first.protocols) >= set(first.candidates[0].metrics)

    no_floors = [msgspec.structs.replace(standing, floors={}) for standing in first.candidates]
    decision = decide(no_floors, None, settings.promotion)
    publish(settings.root, decision)
    second = hold_contest(settings)
    assert second.champion is not None
    assert second.champion.version == decision.champion
    assert second.champion in second.candidates
