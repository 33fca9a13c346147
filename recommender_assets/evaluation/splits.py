"""Ways to choose the test part of observations; the stable hold-out of the product is in `training/hold_out.py`.

Each returns a mask, (n,) true for the test part. Temporal ones need the time of every pair, see `features/pair_times`.
"""

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.history import Observations

Mask = NDArray[np.bool_]


class NoOrderInTimeError(ValueError):
    """All observations carry the same time stamp, so nothing comes before anything else."""


def random_rows(n: int, share: float, seed: int) -> Mask:
    """A random share of all rows, rounded down."""
    held_out = np.zeros(n, dtype=np.bool_)
    held_out[np.random.default_rng(seed).permutation(n)[: int(n * share)]] = True
    return held_out


def random_rows_per_user(observations: Observations, share: float, seed: int) -> Mask:
    """A random share of every user's rows, rounded to the nearest number of rows, half up."""
    chance = np.random.default_rng(seed).random(len(observations.item))
    held_out: Mask = _ranks(observations, chance) < _share_of_each(observations, share)
    return held_out


def latest_rows_per_user(observations: Observations, time: NDArray[np.integer], share: float) -> Mask:
    """The latest share of every user's rows by (time, item index), rounded to the nearest number of rows, half up.

    Args:
        observations: n rows.
        time: (n,) of each row.
        share: between 0 and 1.
    """
    held_out: Mask = _ranks(observations, -time) < _share_of_each(observations, share)
    return held_out


def latest_rows(time: NDArray[np.integer], share: float) -> Mask:
    """The latest share of all rows; rows of one instant stay together, in the test part.

    Args:
        time: (n,) of each row.
        share: between 0 and 1.

    Raises:
        NoOrderInTimeError: nothing would be left to train on, because all rows are of one instant.
    """
    n_test = int(len(time) * share)
    if not n_test:
        return np.zeros(len(time), dtype=np.bool_)
    first = np.partition(time, len(time) - n_test)[len(time) - n_test]
    held_out: Mask = time >= first
    if held_out.all():
        raise NoOrderInTimeError("the observations cannot be divided by time: too many carry the same time stamp")
    return held_out


def one_row_per_user(observations: Observations, seed: int, *, least_rows: int = 2) -> Mask:
    """One random row of every user who has at least `least_rows`; others would have nothing left to be known by."""
    chance = np.random.default_rng(seed).random(len(observations.item))
    has_enough = np.diff(observations.indptr) >= least_rows
    held_out: Mask = (_ranks(observations, chance) == 0) & has_enough[observations.user_of_row()]
    return held_out


def _ranks(observations: Observations, key: NDArray[np.number]) -> NDArray[np.int64]:
    """(n,) place of each row among its user's rows by ascending key, equal keys by descending item index."""
    user = observations.user_of_row()
    order = np.lexsort((-observations.item.astype(np.int64), key, user))
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = np.arange(len(user)) - observations.indptr[user]
    return rank


def _share_of_each(observations: Observations, share: float) -> NDArray[np.float64]:
    """(n,) number of rows to take from the user of each row."""
    return np.asarray(np.floor(np.diff(observations.indptr) * share + 0.5)[observations.user_of_row()])
