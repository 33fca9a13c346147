"""Rating head of `svd`: biased matrix factorisation by stochastic gradient descent.

Model and updates: Koren, Bell, Volinsky 2009, "Matrix factorization techniques for recommender systems". The users are
solved in closed form afterwards, see `user_step`.
"""
# ruff: noqa: PLR0917 (compiled functions take positional arguments only)

import numpy as np
from numpy.typing import NDArray

from recommender_assets.settings import SvdSettings
from recommender_assets.training.compilation import kernel, writable
from recommender_assets.training.progress import Progress
from recommender_assets.training.rows import Rows
from recommender_serving.engine.factor_model import RatingHead

Float32s = NDArray[np.float32]

STAGE = "rating head"


def fit_rating_svd(
    rows: Rows, n_items: int, settings: SvdSettings, seed: int, progress: Progress
) -> tuple[RatingHead, list[float]]:
    """Fit all parameters to the rated pairs; the users are those of the gradient descent.

    Args:
        rows: rated pairs by user; at least one.
        n_items: number of items; one without a rating keeps a bias of 0 and factors near 0.
        settings: `models.svd`.
        seed: fixes the start and the order in which the ratings are visited.
        progress: called after every epoch with the epoch's `rmse`.

    Returns:
        The head, and the training RMSE of every epoch (while the parameters were changing).
    """
    random = np.random.default_rng(seed)
    user_factors = _start(random, rows.n_rows, settings)
    item_factors = _start(random, n_items, settings)
    user_bias, item_bias = np.zeros(rows.n_rows, np.float32), np.zeros(n_items, np.float32)
    mean = float(rows.target.mean(dtype=np.float64))
    centred = rows.target - np.float32(mean)
    user, item = rows.row_of_entry(), writable(rows.column)
    curve: list[float] = []
    rate = settings.learning_rate
    for epoch in range(1, settings.epochs + 1):
        squares = _descend(
            random.permutation(len(centred)),
            user,
            item,
            centred,
            user_factors,
            item_factors,
            user_bias,
            item_bias,
            np.float32(rate),
            np.float32(settings.regularization),
            np.float32(settings.bias_regularization),
        )
        curve.append(float(np.sqrt(squares / len(centred))))
        if not np.isfinite(curve[-1]):
            raise FloatingPointError(
                f"models.svd: diverged in epoch {epoch} at learning_rate {settings.learning_rate}; lower it"
            )
        rate *= settings.learning_rate_decay
        progress(STAGE, epoch, settings.epochs, {"rmse": curve[-1]})
    head = RatingHead(
        global_mean=mean,
        item_bias=item_bias,
        item_factors=item_factors,
        user_bias=user_bias,
        user_factors=user_factors,
        prior=np.zeros(settings.factors, dtype=np.float32),
        implicit_factors=np.empty((0, settings.factors), dtype=np.float32),
        regularization=settings.user_regularization,
        bias_regularization=settings.user_bias_regularization,
        has_user_bias=True,
        non_negative=False,
    )
    return head, curve


def _start(random: np.random.Generator, n: int, settings: SvdSettings) -> Float32s:
    return random.standard_normal((n, settings.factors), dtype=np.float32) * np.float32(settings.initial_deviation)


@kernel
def _descend(
    order: NDArray[np.int64],
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    target: Float32s,
    user_factors: Float32s,
    item_factors: Float32s,
    user_bias: Float32s,
    item_bias: Float32s,
    rate: np.float32,
    regularization: np.float32,
    bias_regularization: np.float32,
) -> float:
    """One epoch in the given order; returns the sum of squared errors met on the way."""
    squares = 0.0
    for entry in order:
        u, i = user[entry], item[entry]
        p, q = user_factors[u], item_factors[i]
        predicted = user_bias[u] + item_bias[i]
        for f in range(p.size):
            predicted += p[f] * q[f]
        error = target[entry] - predicted
        squares += error * error
        user_bias[u] += rate * (error - bias_regularization * user_bias[u])
        item_bias[i] += rate * (error - bias_regularization * item_bias[i])
        for f in range(p.size):
            of_user, of_item = p[f], q[f]
            p[f] = of_user + rate * (error * of_item - regularization * of_user)
            q[f] = of_item + rate * (error * of_user - regularization * of_item)
    return squares
