"""Hit rate: whether a list holds at least one relevant item (Deshpande and Karypis 2004)."""

import numpy as np
from numpy.typing import NDArray


def hit_rate(is_relevant: NDArray[np.bool_], n_relevant: NDArray[np.integer]) -> NDArray[np.float64]:
    """1 for a list with at least one relevant item, 0 for one without.

    Args:
        is_relevant: (n_users, n) whether the item at each rank is relevant.
        n_relevant: (n_users,) all relevant items of the user, listed or not.

    Returns:
        (n_users,) NaN for users without a relevant item.
    """
    return np.where(n_relevant > 0, is_relevant.any(axis=1).astype(np.float64), np.nan)
