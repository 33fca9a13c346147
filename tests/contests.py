"""Contests for tests of the promotion: figures by hand, differences that follow from them."""

from collections.abc import Sequence
from itertools import combinations

from recommender_assets.evaluation.interval import Interval
from recommender_assets.promotion.contest import Contest, Difference, UnfitChampion
from recommender_assets.promotion.standing import Standing
from recommender_serving.engine.factor_model import Position

RMSE, NDCG, COVERAGE = "rmse", "catalogue_ndcg_at_10", "catalogue_coverage_at_20"
FLOORS = {RMSE: {"item_mean": 0.98, "global_mean": 1.05}, NDCG: {"popularity": 0.20, "random": 0.01}}
SERVING = {COVERAGE: 0.3, "fold_in_error": 1e-7, "scoring_milliseconds": 0.3}


def standing(
    version: str, rmse: float, ndcg: float = 0.35, floors: dict[str, dict[str, float]] = FLOORS, **other: float
) -> Standing:
    """A model that is `svd` or `nmf` by the beginning of its version."""
    metrics = {RMSE: rmse, NDCG: ndcg} | SERVING | other
    return Standing(version=version, algorithm=version[:3], metrics=metrics, floors=floors)


def contest(
    candidates: Sequence[Standing],
    champion: Standing | None = None,
    *,
    half_width: float = 0.0,
    position: Position | None = None,
    unfit: UnfitChampion | None = None,
) -> Contest:
    """A contest whose differences have intervals of this half width."""
    contenders = {standing.version: standing for standing in (*candidates, *([champion] if champion else []))}
    differences = [
        Difference(left=left.version, right=right.version, metrics=_minus(left, right, half_width))
        for left, right in combinations(contenders.values(), 2)
    ]
    return Contest(
        position=position or Position(),
        interactions=100,
        hold_out=10,
        candidates=tuple(candidates),
        champion=champion,
        unfit_champion=unfit,
        differences=tuple(differences),
    )


def _minus(left: Standing, right: Standing, half_width: float) -> dict[str, Interval]:
    values = {name: value - right.metrics[name] for name, value in left.metrics.items() if name in right.metrics}
    return {name: Interval(value, value - half_width, value + half_width) for name, value in values.items()}
