"""Reciprocal rank of the first relevant item (Voorhees 1999)."""

import numpy as np
from numpy.typing import NDArray


def reciprocal_rank(is_relevant: NDArray[np.bool_], n_relevant: NDArray[np.integer]) -> NDArray[np.float64]:
    """1 / rank of the first relevant item in the list, 0 if none is listed.

    Args:
        is_relevant: (n_users, n) whether the item at each rank is relevant.
        n_relevant: (n_users,) all relevant items of the user, listed or not.

    Returns:
        (n_users,) in 0..1, NaN for users without a relevant item.
    """
    reciprocal = is_relevant.any(axis=1) / (is_relevant.argmax(axis=1) + 1.0)
    return np.where(n_relevant > 0, reciprocal, np.nan)
