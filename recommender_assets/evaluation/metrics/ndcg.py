"""Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002, with the logarithmic discount of rank + 1)."""

import numpy as np
from numpy.typing import NDArray


def ndcg(gains: NDArray[np.floating], ideal_gains: NDArray[np.floating]) -> NDArray[np.float64]:
    """DCG of each user's list divided by the DCG of the best possible list, DCG = sum_r gain_r / log2(r + 1).

    Args:
        gains: (n_users, n) gain of the item at each rank; 0 where the list has ended.
        ideal_gains: (n_users, n) the n greatest gains available, greatest first; 0 where there are no more.

    Returns:
        (n_users,) in 0..1, NaN where nothing could be gained.
    """
    discount = 1.0 / np.log2(np.arange(2, gains.shape[1] + 2))
    ideal = ideal_gains @ discount
    normalised: NDArray[np.float64] = np.full(len(gains), np.nan)
    np.divide(gains @ discount, ideal, out=normalised, where=ideal > 0)
    return normalised
