"""Novelty: how surprising the listed items are (mean self-information, Zhou et al. 2010)."""

import numpy as np
from numpy.typing import NDArray


def novelty(lists: NDArray[np.integer], popularity: NDArray[np.integer], n_users: int) -> NDArray[np.float64]:
    """Mean of -log2(share of users who know the item) over each list; an item nobody knows counts as known by one.

    Args:
        lists: (n_lists, n) item indices, -1 where a list has ended.
        popularity: (n_items,) users who know the item.
        n_users: users altogether.

    Returns:
        (n_lists,) in bits, NaN for an empty list.
    """
    bits = np.log2(max(n_users, 1)) - np.log2(np.maximum(popularity, 1))
    is_listed = lists >= 0
    length = is_listed.sum(axis=1)
    total = np.sum(bits[np.maximum(lists, 0)] * is_listed, axis=1)
    mean: NDArray[np.float64] = np.full(len(lists), np.nan)
    np.divide(total, length, out=mean, where=length > 0)
    return mean
