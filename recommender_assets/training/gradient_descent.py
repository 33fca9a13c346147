"""Compiled epochs of stochastic gradient descent for biased matrix factorisation, with or without the implicit term.

Updates as in Koren 2008, "Factorization meets the neighborhood", section 4.3; the ratings are visited user by user, so
that a user's vector stays in the first-level cache, and the implicit factors of a user's items move once per visit.
"""
# ruff: noqa: PLR0917 (compiled functions take positional arguments only)

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.compilation import kernel

Float32s = NDArray[np.float32]

_ONE = np.float32(1.0)


@kernel
def descend(
    users: NDArray[np.int64],
    indptr: NDArray[np.int64],
    item: NDArray[np.int32],
    target: Float32s,
    user_factors: Float32s,
    item_factors: Float32s,
    user_bias: Float32s,
    item_bias: Float32s,
    rate: np.float32,
    penalty: np.float32,
    bias_penalty: np.float32,
) -> float:
    """One epoch over the users in the given order; returns the sum of squared errors met on the way."""
    squares = 0.0
    shrink = _ONE - rate * penalty
    for u in users:
        p = user_factors[u]
        bias = user_bias[u]
        for entry in range(indptr[u], indptr[u + 1]):
            i = item[entry]
            q = item_factors[i]
            predicted = bias + item_bias[i]
            for f in range(p.size):
                predicted += p[f] * q[f]
            error = target[entry] - predicted
            squares += error * error
            bias += rate * (error - bias_penalty * bias)
            item_bias[i] += rate * (error - bias_penalty * item_bias[i])
            step = rate * error
            for f in range(p.size):
                of_user, of_item = p[f], q[f]
                p[f] = shrink * of_user + step * of_item
                q[f] = shrink * of_item + step * of_user
        user_bias[u] = bias
    return squares


@kernel
def descend_with_implicit_term(
    users: NDArray[np.int64],
    indptr: NDArray[np.int64],
    item: NDArray[np.int32],
    target: Float32s,
    observed_indptr: NDArray[np.int64],
    observed_item: NDArray[np.int32],
    user_factors: Float32s,
    item_factors: Float32s,
    implicit_factors: Float32s,
    user_bias: Float32s,
    item_bias: Float32s,
    rate: np.float32,
    penalty: np.float32,
    bias_penalty: np.float32,
    implicit_penalty: np.float32,
) -> float:
    """As `descend`, with the sum of the implicit factors of everything a user has observed added to the user."""
    squares = 0.0
    shrink, shrink_implicit = _ONE - rate * penalty, _ONE - rate * implicit_penalty
    implicit = np.empty(user_factors.shape[1], dtype=np.float32)
    slope = np.empty(user_factors.shape[1], dtype=np.float32)
    for u in users:
        if indptr[u] == indptr[u + 1]:
            continue
        observed = observed_item[observed_indptr[u] : observed_indptr[u + 1]]
        scale = _ONE / np.sqrt(np.float32(observed.size))
        p = user_factors[u]
        slope[:] = 0.0
        _sum_scaled(implicit_factors, observed, scale, implicit)
        bias = user_bias[u]
        for entry in range(indptr[u], indptr[u + 1]):
            i = item[entry]
            q = item_factors[i]
            predicted = bias + item_bias[i]
            for f in range(p.size):
                predicted += (p[f] + implicit[f]) * q[f]
            error = target[entry] - predicted
            squares += error * error
            bias += rate * (error - bias_penalty * bias)
            item_bias[i] += rate * (error - bias_penalty * item_bias[i])
            step = rate * error
            for f in range(p.size):
                of_user, of_item = p[f], q[f]
                slope[f] += step * of_item
                p[f] = shrink * of_user + step * of_item
                q[f] = shrink * of_item + step * (of_user + implicit[f])
        user_bias[u] = bias
        for f in range(slope.size):
            slope[f] *= scale
        for j in observed:
            y = implicit_factors[j]
            for f in range(y.size):
                y[f] = shrink_implicit * y[f] + slope[f]
    return squares


@kernel
def _sum_scaled(vectors: Float32s, chosen: NDArray[np.int32], scale: np.float32, total: Float32s) -> None:
    """Set `total` to `scale` times the sum of the chosen vectors."""
    total[:] = 0.0
    for j in chosen:
        vector = vectors[j]
        for f in range(total.size):
            total[f] += vector[f]
    for f in range(total.size):
        total[f] *= scale
