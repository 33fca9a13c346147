from pathlib import Path

import pytest

from recommender_assets.defs.evaluation.checks import evaluation_beats_floors
from recommender_assets.promotion.contest import Contest, save_contest
from recommender_assets.promotion.policy import Standing
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.factor_model import Position

FLOORS = {"rmse": {"item_mean": 0.98}, "catalogue_ndcg_at_10": {"popularity": 0.2}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def standing(version: str, rmse: float, ndcg: float = 0.35) -> Standing:
    metrics = {"rmse": rmse, "catalogue_ndcg_at_10": ndcg}
    return Standing(version=version, algorithm=version[:3], metrics=metrics, floors=FLOORS)


def hold(settings: Settings, *candidates: Standing, champion: Standing | None = None) -> None:
    save_contest(settings.root, Contest(position=Position(), hold_out=5, candidates=candidates, champion=champion))


def test_one_candidate_above_its_floors_is_enough(settings: Settings) -> None:
    hold(settings, standing("svd-1", 1.1), standing("nmf-1", 0.9))
    result = evaluation_beats_floors(settings=settings)
    assert result.passed
    assert result.metadata["nmf-1"].value == "beats its floors"
    assert result.metadata["svd-1"].value == "rmse 1.1000 does not beat its floor item_mean 0.9800"


def test_none_above_its_floors_stops_the_run(settings: Settings) -> None:
    hold(settings, standing("svd-1", 1.1), standing("nmf-1", 0.9, ndcg=0.1))
    result = evaluation_beats_floors(settings=settings)
    assert not result.passed
    assert "svd-1: rmse" in str(result.description)
    assert "nmf-1: catalogue_ndcg_at_10" in str(result.description)


def test_a_better_champion_is_no_reason_to_stop(settings: Settings) -> None:
    hold(settings, standing("svd-2", 0.9), champion=standing("svd-1", 0.5))
    assert evaluation_beats_floors(settings=settings).passed
