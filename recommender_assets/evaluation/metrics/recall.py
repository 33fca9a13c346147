"""Recall of the first n ranks (Cremonesi, Koren, Turrin 2010)."""

import numpy as np
from numpy.typing import NDArray


def recall(is_relevant: NDArray[np.bool_], n_relevant: NDArray[np.integer]) -> NDArray[np.float64]:
    """Relevant items in the list / all relevant items of the user, which may exceed the list's length.

    Args:
        is_relevant: (n_users, n) whether the item at each rank is relevant.
        n_relevant: (n_users,) all relevant items of the user, listed or not.

    Returns:
        (n_users,) in 0..1, NaN for users without a relevant item.
    """
    share: NDArray[np.float64] = np.full(len(is_relevant), np.nan)
    np.divide(is_relevant.sum(axis=1), n_relevant, out=share, where=n_relevant > 0)
    return share
