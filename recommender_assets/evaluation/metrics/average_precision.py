"""Average precision of the first n ranks."""

import numpy as np
from numpy.typing import NDArray


def average_precision(is_relevant: NDArray[np.bool_], n_relevant: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sum over relevant ranks r of precision(r) / min(n, relevant items of the user).

    The divisor min(n, relevant) makes 1 reachable for every user
    (Kaggle's MAP@n; trec_eval divides by all relevant items).

    Args:
        is_relevant: (n_users, n) whether the item at each rank is relevant.
        n_relevant: (n_users,) all relevant items of the user, listed or not.

    Returns:
        (n_users,) in 0..1, NaN for users without a relevant item.
    """
    n = is_relevant.shape[1]
    precision = np.cumsum(is_relevant, axis=1) / np.arange(1, n + 1)
    total = np.sum(precision * is_relevant, axis=1)
    divisor = np.minimum(n_relevant, n)
    average: NDArray[np.float64] = np.full(len(total), np.nan)
    np.divide(total, divisor, out=average, where=divisor > 0)
    return average
