"""Ranking head of both algorithms: weighted factorisation of all interactions, observed and unobserved.

Loss: sum_observed strength (1 - x.y)^2 + unobserved_weight sum_all (x.y)^2 + regularization (|X|^2 + |Y|^2), as in Hu,
Koren, Volinsky 2008 and Rendle et al. 2021, "Revisiting the performance of iALS on item recommendation benchmarks".
`nmf` requires all factors >= 0. The last user step is exact, see `user_step`.
"""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.coordinate_descent import gram_of, improve_rows
from recommender_assets.training.preconditioned_step import step_rows
from recommender_assets.training.progress import Progress
from recommender_assets.training.rows import Rows
from recommender_serving.engine.factor_model import RankingHead

Float32s = NDArray[np.float32]

STAGE = "ranking head"
_START_LENGTH = 0.3  # of an item vector; the first half-step gives the users theirs


def fit_ranking(
    rows: Rows, n_items: int, settings: SvdSettings | NmfSettings, seed: int, progress: Progress
) -> tuple[RankingHead, list[float]]:
    """Fit both sides to the observed pairs.

    Args:
        rows: observed pairs by user, target 1, weight = strength.
        n_items: number of items; one without an observation ends near zero.
        settings: `models.svd` or `models.nmf`; the latter makes the head non-negative.
        seed: fixes the start.
        progress: called after every iteration with the `loss` per observed pair.

    Returns:
        The head, and the loss per observed pair after every iteration.
    """
    non_negative = isinstance(settings, NmfSettings)
    k = settings.factors
    start = np.random.default_rng(seed).standard_normal((n_items, k)) * (_START_LENGTH / np.sqrt(k))
    item_factors = (np.abs(start) if non_negative else start).astype(np.float32)
    user_factors = np.zeros((rows.n_rows, k), dtype=np.float32)
    by_item = rows.transposed(n_items)
    curve: list[float] = []
    for iteration in range(1, settings.ranking_iterations + 1):
        for side, fixed, moving, penalty in (
            (rows, item_factors, user_factors, settings.ranking_regularization),
            (by_item, user_factors, item_factors, settings.ranking_item_regularization),
        ):
            gram = np.float32(settings.unobserved_weight) * gram_of(fixed)
            observed = _improve(side, fixed, moving, penalty, gram, non_negative=non_negative)
        # `gram` is still that of the users, and `observed` the loss on the observed pairs after both half-steps.
        loss = observed + np.vdot(gram, gram_of(item_factors)) + _penalty(user_factors, item_factors, settings)
        curve.append(float(loss) / len(rows.column))
        progress(STAGE, iteration, settings.ranking_iterations, {"ranking_loss": curve[-1]})
    return ranking_head(user_factors, item_factors, settings), curve


def ranking_head(user_factors: Float32s, item_factors: Float32s, settings: SvdSettings | NmfSettings) -> RankingHead:
    """The head of factors (n_users, k) and (n_items, k)."""
    return RankingHead(
        item_factors=item_factors,
        user_factors=user_factors,
        prior=np.zeros(settings.factors, dtype=np.float32),
        regularization=settings.ranking_regularization,
        unobserved_weight=settings.unobserved_weight,
        non_negative=isinstance(settings, NmfSettings),
    )


def _improve(
    rows: Rows, fixed: Float32s, moving: Float32s, penalty: float, gram: Float32s, *, non_negative: bool
) -> float:
    """Lower the loss of one side's vectors, with the other side fixed; returns the loss on the observed pairs."""
    if non_negative:
        return improve_rows(rows, fixed, moving, penalty, np.zeros_like(moving[0]), gram=gram, non_negative=True)
    return step_rows(rows, fixed, moving, penalty, gram)


def _penalty(user_factors: Float32s, item_factors: Float32s, settings: SvdSettings | NmfSettings) -> float:
    of_users, of_items = (np.sum(np.square(side), dtype=np.float64) for side in (user_factors, item_factors))
    return float(settings.ranking_regularization * of_users + settings.ranking_item_regularization * of_items)
