"""Rating head of `nmf`: non-negative factorisation of the observed ratings by alternating non-negative least squares.

Frobenius loss on the observed entries (Kim and Park 2008, "Nonnegative matrix factorization based on alternating
nonnegativity constrained least squares"). Both sides are drawn towards their mean vector instead of zero: a user with
few ratings then predicts like the mean user. The last user step is exact, see `user_step`.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recommender_assets.settings import NmfSettings
from recommender_assets.training.coordinate_descent import improve_rows
from recommender_assets.training.progress import Progress
from recommender_assets.training.rating_unit import star_unit
from recommender_assets.training.rows import Rows
from recommender_serving.engine.factor_model import RatingHead

Float32s = NDArray[np.float32]

STAGE = "rating head"
_SWEEPS = 2


def fit_rating_nmf(
    rows: Rows, n_items: int, settings: NmfSettings, seed: int, progress: Progress
) -> tuple[RatingHead, dict[str, list[float]]]:
    """Fit both sides to the rated pairs.

    Args:
        rows: rated pairs by user; at least one.
        n_items: number of items; one without a rating gets the mean item's factors.
        settings: `models.nmf`.
        seed: fixes the start.
        progress: called after every iteration with the `rmse` on the rated pairs.

    Returns:
        The head, and `rating_rmse`, the training RMSE after every iteration.
    """
    floor, unit = floor_and_unit(rows)
    rows = replace(rows, target=(rows.target - np.float32(floor)) / np.float32(unit))
    random = np.random.default_rng(seed)
    k = settings.factors
    level = np.sqrt(rows.target.mean(dtype=np.float64) / k)  # users and items of this level predict the mean rating
    user_factors = _start(random, rows.n_rows, k, level)
    item_factors = _start(random, n_items, k, level)
    by_item = rows.transposed(n_items)
    penalty, pull = _towards_mean_and_zero(settings.regularization, settings.alpha)
    ratings_of_user = np.diff(rows.indptr)
    is_rated = np.diff(by_item.indptr) > 0
    curve: list[float] = []
    for iteration in range(1, settings.iterations + 1):
        mean_user = np.average(user_factors, axis=0, weights=ratings_of_user).astype(np.float32)
        improve_rows(rows, item_factors, user_factors, penalty, pull * mean_user, non_negative=True, sweeps=_SWEEPS)
        mean_item = item_factors[is_rated].mean(axis=0)
        squares = improve_rows(
            by_item, user_factors, item_factors, penalty, pull * mean_item, non_negative=True, sweeps=_SWEEPS
        )
        curve.append(unit * float(np.sqrt(squares / len(rows.column))))
        progress(STAGE, iteration, settings.iterations, {"rating_rmse": curve[-1]})
    head = nmf_rating_head(rows, user_factors, item_factors, settings, floor=floor, unit=unit)
    return head, {"rating_rmse": curve}


def floor_and_unit(rows: Rows) -> tuple[float, float]:
    """The lowest rating if it is negative, else 0: products of factors are added to it; and the unit they count in."""
    return min(0.0, float(rows.target.min())), star_unit(rows.target)


def nmf_rating_head(
    rows: Rows, user_factors: Float32s, item_factors: Float32s, settings: NmfSettings, *, floor: float, unit: float
) -> RatingHead:
    """The head of factors that predict how many units a rating is above the floor.

    An item without a rating gets the mean item's factors; new users start from the mean user.

    Args:
        rows: what the factors were fitted to.
        user_factors: (n_users, k).
        item_factors: (n_items, k).
        settings: `models.nmf`.
        floor: see `floor_and_unit`.
        unit: likewise; items take it up, so that users are solved alike on every scale.
    """
    is_rated = np.bincount(rows.column, minlength=len(item_factors)) > 0
    item_factors[~is_rated] = item_factors[is_rated].mean(axis=0)
    penalty, pull = _towards_mean_and_zero(settings.user_regularization, settings.alpha)
    return RatingHead(
        global_mean=floor,
        item_bias=np.zeros(len(item_factors), dtype=np.float32),
        item_factors=np.float32(unit) * item_factors,
        user_bias=np.zeros(len(user_factors), dtype=np.float32),
        user_factors=user_factors,
        prior=pull * user_factors[np.diff(rows.indptr) > 0].mean(axis=0),
        implicit_factors=np.empty((0, settings.factors), dtype=np.float32),
        regularization=penalty * unit**2,
        bias_regularization=0.0,
        has_user_bias=False,
        non_negative=True,
    )


def _towards_mean_and_zero(regularization: float, alpha: float) -> tuple[float, np.float32]:
    """Write regularization |x - mean|^2 + alpha |x|^2 as penalty |x - pull mean|^2 + constant."""
    penalty = regularization + alpha
    return penalty, np.float32(regularization / penalty)


def _start(random: np.random.Generator, n: int, k: int, level: float) -> Float32s:
    # Far enough apart that the factors come to mean different things.
    return (level * np.maximum(0.0, 1.0 + random.standard_normal((n, k)))).astype(np.float32)
