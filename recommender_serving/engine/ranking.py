"""The best items by score, exactly."""

import numpy as np
from numpy.typing import NDArray


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
