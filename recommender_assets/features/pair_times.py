"""When the observed pairs happened."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.matrix import UserItemMatrix


def pair_times(matrix: UserItemMatrix) -> NDArray[np.int64]:
    """(n,) UTC microseconds of the latest event of every observed pair."""
    history, observations = matrix.history, matrix.observations
    of_history = history.user_of_row().astype(np.int64) * matrix.n_items + history.item
    of_pair = observations.user_of_row().astype(np.int64) * matrix.n_items + observations.item
    latest = np.full(len(of_pair), np.iinfo(np.int64).min)
    stands = np.isin(of_history, of_pair)  # a pair that stands has an event later than its tombstone
    np.maximum.at(latest, np.searchsorted(of_pair, of_history[stands]), history.timestamp_us[stands])
    return latest
