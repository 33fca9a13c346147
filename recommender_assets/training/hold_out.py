"""The hold-out: a fixed share of all (user, item) pairs, chosen by a hash of their ids.

A pair's membership depends on its two ids and the share alone, never on the row order, the other rows or the time, so a
champion and its challenger can be compared on pairs that neither has trained item factors on. A greater share only adds
pairs.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.matrix import UserItemMatrix
from recommender_serving.engine.string_table import StringTable

_USER_KEY = b"hold-out user"  # keyed apart: user "7" and item "7" must not hash alike
_ITEM_KEY = b"hold-out item"


def hold_out_mask(matrix: UserItemMatrix, share: float) -> NDArray[np.bool_]:
    """Which observations are held out.

    Args:
        matrix: whose `observations` have n rows.
        share: share of all possible pairs, between 0 and 1.

    Returns:
        (n,) true where the row is held out.
    """
    user = _hashes(matrix.user_ids, _USER_KEY)[matrix.observations.user_of_row()]
    item = _hashes(matrix.item_ids, _ITEM_KEY)[matrix.observations.item]
    uniform = (_splitmix64(_splitmix64(user) ^ item) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    held_out: NDArray[np.bool_] = uniform < share
    return held_out


def _hashes(ids: StringTable, key: bytes) -> NDArray[np.uint64]:
    digests = (blake2b(ids[i].encode(), digest_size=8, key=key).digest() for i in range(len(ids)))
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit changes half of the output bits."""
    mixed = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
