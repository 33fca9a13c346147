"""The best items by score, exactly, and how much popularity may count in a score."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 65_536  # bounds the temporary memory


def top_n(scores: NDArray[np.floating], n: int, excluded: NDArray[np.integer]) -> NDArray[np.int64]:
    """Indices of the `n` greatest scores that are not excluded, greatest first; equal scores by lower index.

    Args:
        scores: (n_items,) without NaN.
        n: how many, not negative; fewer are returned when fewer are eligible.
        excluded: indices to leave out, in any order, repetitions allowed.
    """
    wanted = min(n + len(excluded), len(scores))
    if n <= 0 or wanted == 0:
        return np.empty(0, dtype=np.int64)
    # Everything down to the wanted-th score, with all its ties: enough even if every excluded item is above.
    threshold = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    candidates = np.flatnonzero(scores >= threshold)
    is_excluded = np.zeros(len(scores), dtype=bool)
    is_excluded[excluded] = True
    candidates = candidates[~is_excluded[candidates]]
    best = np.argsort(-scores[candidates], kind="stable")[:n]
    return candidates[best]


def popular_items(popularity: NDArray[np.floating], n: int, excluded: NDArray[np.integer]) -> NDArray[np.int64]:
    """Indices of the `n` most popular items that are not excluded."""
    return top_n(popularity, n, excluded)


def popularity_discount(
    user_factors: NDArray[np.floating], item_factors: NDArray[np.floating], strength: float
) -> NDArray[np.float32]:
    """Factor of every item's score: deviation^-strength, where deviation is that of the item's scores over all users.

    Scores of popular items differ from user to user, those of rare items are all close to zero, so dividing by the
    deviation lets rare items into the lists, at the cost of accuracy. As a factor of the scores it is as well one of
    the item's vector. Compared on ML-1M with scores divided by a power of the number of users, or less its logarithm:
    those lose far more hits for the same coverage.

    Args:
        user_factors: (n_users, k) of the ranking head.
        item_factors: (n_items, k) of the ranking head.
        strength: 0 changes nothing, 1 makes all deviations equal; 0.8 to 0.9 are useful.

    Returns:
        (n_items,) float32 greater than 0; 1 for an item whose scores do not differ.
    """
    deviation = np.sqrt(np.maximum(_variances(user_factors, item_factors), 0.0))
    differs = deviation > np.finfo(np.float32).tiny
    return np.where(differs, np.where(differs, deviation, 1.0) ** -strength, 1.0).astype(np.float32)


def _variances(user_factors: NDArray[np.floating], item_factors: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n_items,) variance over the users of the product of user and item."""
    n, k = user_factors.shape
    mean = user_factors.mean(axis=0, dtype=np.float64) if n else np.zeros(k)
    total = np.zeros((k, k))
    for rows in _blocks(n):
        centred = user_factors[rows] - mean
        total += centred.T @ centred
    covariance = total / max(n, 1)
    variances = [
        np.einsum("if,if->i", item_factors[rows] @ covariance, item_factors[rows])
        for rows in _blocks(len(item_factors))
    ]
    return np.concatenate([np.zeros(0), *variances])


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK_ROWS) for start in range(0, n, _BLOCK_ROWS))
