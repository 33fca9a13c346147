"""The greatest of many scores that have been computed already; the search that computes them is in `top_items`."""

import numpy as np
from numpy.typing import NDArray

_GROUP = 1_024


def best(scores: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Indices of the `n` greatest scores above -inf, greatest first, equal scores by lower index.

    Args:
        scores: (m,) without NaN; -inf marks what is not eligible.
        n: How many, not negative; fewer are returned when fewer are eligible.
    """
    if n <= 0:
        return np.empty(0, dtype=np.int64)
    candidates = np.flatnonzero(scores >= _threshold(scores, n))
    candidates = candidates[scores[candidates] > -np.inf]
    return candidates[np.argsort(-scores[candidates], kind="stable")[:n]]


def _threshold(scores: NDArray[np.floating], n: int) -> float:
    """A value that at least `n` scores reach, or -inf: the n-th greatest of the groups' greatest scores."""
    whole = len(scores) - len(scores) % _GROUP
    maxima = scores[:whole].reshape(-1, _GROUP).max(axis=1)
    if len(maxima) >= n:
        return float(np.partition(maxima, len(maxima) - n)[len(maxima) - n])
    if len(scores) > n:
        return float(np.partition(scores, len(scores) - n)[len(scores) - n])
    return -np.inf
