"""Gini coefficient of how often items are listed (Fleder and Hosanagar 2009)."""

import numpy as np
from numpy.typing import NDArray


def gini(lists: NDArray[np.integer], n_items: int) -> float:
    """Inequality of the items' numbers of appearances: 0 if all are alike, towards 1 if one item takes everything.

    sum_i (2 i - n - 1) x_i / (n sum_i x_i) for the n items' appearances x in ascending order, i from 1.

    Args:
        lists: (n_lists, n) item indices, -1 where a list has ended.
        n_items: size of the catalogue, greater than 0.

    Returns:
        NaN if nothing is listed.
    """
    appearances = np.sort(np.bincount(lists[lists >= 0], minlength=n_items)).astype(np.float64)
    total = appearances.sum()
    if not total:
        return float("nan")
    order = 2.0 * np.arange(1, n_items + 1) - n_items - 1.0
    return float(order @ appearances / (n_items * total))
