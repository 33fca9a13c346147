"""The best items of many users at once."""

import numpy as np
from numpy.typing import NDArray


def top_items(scores: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """The n greatest scores of every row, greatest first, equal scores by lower index, as `engine/ranking.py` does.

    Args:
        scores: (n_users, n_items) without NaN; -inf = not eligible.
        n: length of the lists.

    Returns:
        (n_users, n) item indices, -1 where fewer than n items are eligible.
    """
    n_items = scores.shape[1]
    kept = min(n, n_items)
    bits = (scores.astype(np.float32) + np.float32(0.0)).view(np.uint32)  # + 0 makes -0 equal to 0
    ascending = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(1 << 31))  # orders like the floats do
    # One integer per item that orders by score, then by lower index: selection is exact and needs no second pass.
    key = (ascending.astype(np.uint64) << np.uint64(32)) | np.arange(n_items, dtype=np.uint64)[::-1]
    best = np.sort(np.partition(key, n_items - kept, axis=1)[:, n_items - kept :], axis=1)[:, ::-1]
    items = n_items - 1 - (best & np.uint64(0xFFFFFFFF)).astype(np.int64)
    lists = np.full((len(scores), n), -1, dtype=np.int64)
    eligible = np.take_along_axis(scores, items, axis=1) > -np.inf
    lists[:, :kept] = np.where(eligible, items, -1)
    return lists
