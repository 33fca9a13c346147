from pathlib import Path

import dagster as dg
import pytest

from recommender_assets.defs.evaluation.assets import backtest_report, evaluation_report
from recommender_assets.defs.interactions.partitions import history_months
from recommender_assets.evaluation.backtest import load_backtests
from recommender_assets.features.matrix import matrix_directory, save_matrix
from recommender_assets.promotion.contest import Contest, load_contest
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.factor_model import Position
from tests.matrices import movielens_matrix

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Versions whose figures were logged."""
    versions: list[str] = []

    class Recorder:
        def __init__(self, settings: Settings) -> None:
            self.settings = settings

        def log_standing(self, standing: Standing) -> None:
            versions.append(standing.version)

        def log_text(self, version: str, text: str, artifact: str) -> None:
            assert text
            versions.append(f"{version} {artifact}")

    monkeypatch.setattr("recommender_assets.promotion.registry.Registry", Recorder)
    return versions


def hold(monkeypatch: pytest.MonkeyPatch, **rmse: float | None) -> Contest:
    """Candidates svd and nmf and the champion `old`, each with its RMSE if it was measured."""
    field = [
        Standing(version=name, algorithm="svd" if name == "old" else name, metrics={} if v is None else {"rmse": v})
        for name, v in rmse.items()
    ]
    candidates = tuple(standing for standing in field if standing.version != "old")
    champion = next((standing for standing in field if standing.version == "old"), None)
    contest = Contest(position=Position(), hold_out=7, candidates=candidates, champion=champion)
    monkeypatch.setattr("recommender_assets.promotion.contenders.hold_contest", lambda _: contest)
    return contest


def test_the_report_keeps_the_contest_and_shows_every_contender(
    settings: Settings, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contest = hold(monkeypatch, svd=0.87, nmf=0.9, old=0.95)
    metadata = evaluation_report(settings=settings).metadata
    assert load_contest(settings.root) == contest
    pages = ("", " evaluation/report.html", " evaluation/contest.json")
    assert logged == [f"{version}{page}" for version in ("svd", "nmf") for page in pages]
    assert (metadata["svd_rmse"], metadata["nmf_rmse"], metadata["hold_out_pairs"]) == (0.87, 0.9, 7)
    assert "| metric | svd | nmf | old | floors |" in metadata["report"].value


@pytest.mark.parametrize("rmse", [{"svd": 0.87, "nmf": None}, {"svd": None, "nmf": None, "old": 0.9}])
def test_a_metric_that_was_not_measured_does_not_stop_the_report(
    settings: Settings, logged: list[str], monkeypatch: pytest.MonkeyPatch, rmse: dict[str, float | None]
) -> None:
    hold(monkeypatch, **rmse)
    metadata = evaluation_report(settings=settings).metadata
    assert "nmf_rmse" not in metadata
    assert metadata["comparison"].value.startswith("![rmse of the models]")


def test_a_backfill_of_backtests_is_one_run_that_keeps_every_month_and_draws_them(tmp_path: Path) -> None:
    environ = {
        "RECOMMENDER__STORAGE__ROOT": str(tmp_path),
        "RECOMMENDER__MODELS__SVD__FACTORS": "4",
        "RECOMMENDER__MODELS__NMF__FACTORS": "4",
        "RECOMMENDER__MODELS__SVD__EPOCHS": "4",
    }
    settings = load_settings(environ=environ)
    save_matrix(matrix_directory(settings.root), movielens_matrix())
    months = ["1999-11", "1999-12", "2000-01"]
    assert set(months) <= set(history_months.get_partition_keys())

    result = dg.materialize(
        [backtest_report],
        resources={"settings": settings},
        tags={"dagster/asset_partition_range_start": months[0], "dagster/asset_partition_range_end": months[-1]},
    )

    assert result.success
    assert [month.month for month in load_backtests(settings.root)] == months
    assert all(month.metrics.keys() == {"svd", "nmf"} for month in load_backtests(settings.root))
    events = result.get_asset_materialization_events()
    assert {event.partition for event in events} == set(months)
    assert events[0].materialization.metadata["months_with_figures"].value == 3
