from pathlib import Path

import msgspec
import pytest

from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.monitoring.model_metrics import (
    CHAMPION_PROMOTED,
    CHAMPION_TRAINED,
    COVERAGE,
    DECISIONS,
    DEPLOYED,
    LAST_DECISION,
    LAST_DECISION_PROMOTED,
    NDCG,
    NDCG_FLOOR,
    RMSE,
    RMSE_FLOOR,
    UNLEARNED,
    ModelMetrics,
)
from recommender_assets.promotion.contest import Contest, save_contest
from recommender_assets.promotion.decisions import append_decision, row_of_contest, row_without_contest
from recommender_assets.promotion.policy import decide
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import PromotionSettings, Settings
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    DamagedPointerError,
    pointer_path,
    version_directory,
    write_pointer,
)
from recommender_serving.engine.config import StorageSettings
from recommender_serving.engine.factor_model import Position, write_model
from tests.factories import make_model


@pytest.fixture
def settings(project_settings: Settings, tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return msgspec.structs.replace(project_settings, storage=StorageSettings(root=str(tmp_path)))


def standing(version: str, rmse: float) -> Standing:
    return Standing(
        version=version,
        algorithm=version[:3],
        metrics={"rmse": rmse, "catalogue_ndcg_at_10": 0.3, "catalogue_coverage_at_20": 0.2},
        floors={
            "rmse": {"item_mean": 0.98, "global_mean": 1.1},
            "catalogue_ndcg_at_10": {"random": 0.01, "popularity": 0.2},
        },
    )


def champion(settings: Settings, version: str = "svd-1", **next_offsets: int) -> None:
    folder = version_directory(settings.root, version)
    folder.parent.mkdir(parents=True)
    offsets = {partition.removeprefix("p"): offset for partition, offset in next_offsets.items()}
    position = Position(topic="user_interactions", topic_id="id", next_offsets=offsets)
    model = make_model(version=version, algorithm=version[:3], position=position)
    write_model(folder, model)
    pointer = ChampionPointer(
        version=version,
        predecessor=None,
        deployed={"svd": version, "nmf": "nmf-1"},
        promoted_at="2026-01-01T00:01:00+00:00",
    )
    write_pointer(settings.root, pointer)


def contest(settings: Settings, *candidates: Standing, against: Standing | None = None) -> Contest:
    held = Contest(position=Position(), hold_out=10, candidates=candidates, champion=against)
    save_contest(settings.root, held)
    return held


def test_before_the_first_evaluation_no_decision_was_made(settings: Settings) -> None:
    kinds = ("promotion", "refusal", "rollback", "live_rollback", "experiment")
    assert ModelMetrics(settings).read() == {DECISIONS: {(kind,): 0 for kind in kinds}}


def test_the_champions_times_and_the_deployed_models(settings: Settings) -> None:
    champion(settings)
    readings = ModelMetrics(settings).read()
    assert readings[CHAMPION_TRAINED] == {(): 1_704_067_200}
    assert readings[CHAMPION_PROMOTED] == {(): 1_767_225_660}
    assert readings[DEPLOYED] == {("svd", "svd-1", "champion"): 1, ("nmf", "nmf-1", "alternative"): 1}


def test_unlearned_are_the_ingested_records_after_the_champions_position(settings: Settings) -> None:
    champion(settings, p0=7, p1=4)
    metrics = ModelMetrics(settings)
    assert metrics.read()[UNLEARNED] == {(): 0}
    append_rows(settings.root, "user_interactions", "id", [LedgerRow(0, 0, 10), LedgerRow(1, 0, 4), LedgerRow(2, 0, 2)])
    assert metrics.read()[UNLEARNED] == {(): 5}
    append_rows(settings.root, "user_interactions", "anew", [LedgerRow(0, 0, 6)])
    assert metrics.read()[UNLEARNED] == {(): 6}


def test_figures_of_the_latest_evaluation_stand_beside_their_best_floors(settings: Settings) -> None:
    champion(settings)
    contest(settings, standing("svd-2", 0.85), standing("nmf-2", 0.87), against=standing("svd-1", 0.86))
    readings = ModelMetrics(settings).read()
    assert readings[RMSE] == {("svd", "candidate"): 0.85, ("nmf", "candidate"): 0.87, ("svd", "champion"): 0.86}
    assert set(readings[NDCG].values()) == {0.3}
    assert set(readings[COVERAGE].values()) == {0.2}
    assert (readings[RMSE_FLOOR], readings[NDCG_FLOOR]) == ({(): 0.98}, {(): 0.2})


def test_after_a_promotion_the_candidate_is_the_champion_and_the_other_its_predecessor(settings: Settings) -> None:
    champion(settings, "svd-2")
    contest(settings, standing("svd-2", 0.85), against=standing("svd-1", 0.86))
    assert ModelMetrics(settings).read()[RMSE] == {("svd", "champion"): 0.85, ("svd", "predecessor"): 0.86}


@pytest.mark.parametrize(("against", "promoted"), [(None, 1), (standing("svd-1", 0.80), 0)])
def test_the_latest_decision_promoted_or_not(settings: Settings, against: Standing | None, promoted: int) -> None:
    held = contest(settings, standing("svd-2", 0.85), against=against)
    decision = decide(held, PromotionSettings(limits={}))
    append_decision(settings.root, row_of_contest(held, decision, "rmse", None))
    assert ModelMetrics(settings).read()[LAST_DECISION_PROMOTED] == {(): promoted}


def test_a_damaged_pointer_is_an_error(settings: Settings) -> None:
    champion(settings)
    pointer_path(settings.root).write_text("{", encoding="utf-8")
    with pytest.raises(DamagedPointerError):
        ModelMetrics(settings).read()


def test_decisions_are_counted_by_kind_and_a_rollback_is_no_decision_on_candidates(settings: Settings) -> None:
    held = contest(settings, standing("svd-2", 0.85))
    promotion = row_of_contest(held, decide(held, PromotionSettings(limits={})), "rmse", None)
    pointer = ChampionPointer(version="svd-1", predecessor=None, deployed={}, promoted_at="2026-01-01T00:00:00Z")
    for row in (promotion, row_without_contest("live_rollback", pointer, "svd-2", "slow")):
        append_decision(settings.root, row)
    readings = ModelMetrics(settings).read()
    counts = {("promotion",): 1, ("refusal",): 0, ("rollback",): 0, ("live_rollback",): 1, ("experiment",): 0}
    assert readings[DECISIONS] == counts
    assert readings[LAST_DECISION_PROMOTED] == {(): 1}
    assert readings[LAST_DECISION] == {(): promotion.decided_at.timestamp()}
