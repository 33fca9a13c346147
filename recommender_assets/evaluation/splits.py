"""Ways to divide observations into a training and a test part; the stable hold-out is in `training/hold_out.py`."""

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.history import Observations


def random_rows(n: int, share: float, seed: int) -> NDArray[np.bool_]:
    """(n,) true for a random share of all rows, rounded down."""
    held_out = np.zeros(n, dtype=np.bool_)
    held_out[np.random.default_rng(seed).permutation(n)[: int(n * share)]] = True
    return held_out


def random_rows_per_user(observations: Observations, share: float, seed: int) -> NDArray[np.bool_]:
    """True for a random share of every user's rows, rounded to the nearest number of rows, half up."""
    user = observations.user_of_row()
    order = np.lexsort((np.random.default_rng(seed).random(len(user)), user))
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = np.arange(len(user)) - observations.indptr[user]
    held_out: NDArray[np.bool_] = rank < np.floor(np.diff(observations.indptr) * share + 0.5)[user]
    return held_out
