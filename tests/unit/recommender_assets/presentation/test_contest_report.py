import pytest

from recommender_assets.evaluation.interval import Interval
from recommender_assets.presentation.contest_report import contest_report
from recommender_assets.presentation.tables import contest_table, difference_table
from recommender_assets.promotion.contest import Contest, Difference
from recommender_assets.promotion.standing import Standing
from recommender_serving.engine.factor_model import Position


def standing(version: str, rmse: float, curve: list[float] | None = None) -> Standing:
    lines = {"model": curve, "popularity": [0.1, 0.2], "random": [0.0, 0.0]} if curve else {}
    return Standing(
        version=version,
        algorithm=version,
        metrics={"rmse": rmse},
        intervals={"rmse": (rmse - 0.01, rmse + 0.02)},
        floors={"rmse": {"item_mean": 0.98}},
        curves={"catalogue_recall": lines} if lines else {},
    )


def difference(**metrics: tuple[float, float, float]) -> Difference:
    return Difference(left="svd", right="nmf", metrics={name: Interval(*ends) for name, ends in metrics.items()})


def contest(*candidates: Standing, differences: tuple[Difference, ...] = ()) -> Contest:
    meanings = {"rmse": "held-out ratings"}
    return Contest(
        position=Position(),
        hold_out=9,
        candidates=candidates,
        champion=None,
        protocols=meanings,
        differences=differences,
    )


def test_a_figure_stands_beside_its_interval_and_its_floors() -> None:
    row = contest_table([standing("svd", 0.87)]).splitlines()[2]

    assert row == "| rmse (lower is better) | **0.8700** (0.8600 to 0.8900) | item_mean 0.9800 |"


@pytest.mark.parametrize(
    ("metric", "ends", "better"),
    [
        ("rmse", (-0.02, -0.03, -0.01), "svd"),
        ("rmse", (0.02, 0.01, 0.03), "nmf"),
        ("catalogue_ndcg_at_10", (0.02, 0.01, 0.03), "svd"),
        ("catalogue_ndcg_at_10", (-0.02, -0.03, -0.01), "nmf"),
        ("rmse", (-0.02, -0.05, 0.01), "may be chance"),
    ],
)
def test_the_better_model_is_named_only_beyond_chance(
    metric: str, ends: tuple[float, float, float], better: str
) -> None:
    row = difference_table([difference(**{metric: ends})], 0.9).splitlines()[2]

    assert row.startswith(f"| {metric} | svd - nmf | {ends[0]:+.4f} | {ends[1]:+.4f} to {ends[2]:+.4f} |")
    assert row.endswith(f"| {better} |")


def test_the_report_has_a_section_for_everything_that_was_measured() -> None:
    whole = contest(
        standing("svd", 0.87, [0.2, 0.3]),
        standing("nmf", 0.9, [0.1, 0.2]),
        differences=(difference(rmse=(-0.03,) * 3),),
    )

    sections = contest_report(whole, "rmse")

    assert set(sections) == {
        "report",
        "comparison",
        "curves",
        "differences",
        "difference_of_candidates",
        "protocols",
    }
    for plot in ("comparison", "curves", "difference_of_candidates"):
        assert sections[plot].startswith("![")
        assert len(sections[plot]) < 100_000


def test_what_was_not_measured_is_left_out() -> None:
    bare = Standing(version="svd", algorithm="svd", metrics={})

    assert set(contest_report(contest(bare), "rmse")) == {"report", "comparison", "protocols"}
