"""Interactions of a model's past that a sliding window may still cover."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.activity import WINDOWS, Window
from recommender_serving.engine.history import History, rows_that_stand

_BLOCK_ROWS = 262_144  # bounds the temporary memory


class RecentInteractions(NamedTuple):
    """(n,) int32 item indices and (n,) int64 event times, UTC microseconds."""

    item: NDArray[np.int32]
    timestamp_us: NDArray[np.int64]

    def counts(self, window: Window, as_of_us: int, n_items: int) -> NDArray[np.int64]:
        """(n_items,) interactions of each item inside a window that ends with `as_of_us`'s step."""
        return np.bincount(self.item[window.covers(self.timestamp_us, as_of_us)], minlength=n_items)


def recent_interactions(history: History, now_us: int) -> RecentInteractions:
    """Events that stand and lie in the longest window that ends at or after `now_us`."""
    since_us = now_us - max(window.length_us + window.step_us for window in WINDOWS)
    parts = [(history.item[:0], history.timestamp_us[:0])]
    for block in _blocks(history):
        taken = block.timestamp_us >= since_us
        if taken.any():
            taken &= rows_that_stand(block)
            parts.append((block.item[taken], block.timestamp_us[taken]))
    items, times = zip(*parts, strict=True)
    return RecentInteractions(np.concatenate(items), np.concatenate(times))


def _blocks(history: History) -> list[History]:
    """The history by groups of users, as views."""
    n_rows = len(history.item)
    edges = np.unique(np.searchsorted(history.indptr, np.arange(0, n_rows + _BLOCK_ROWS, _BLOCK_ROWS)))
    edges = np.unique(edges.clip(max=history.n_users)).tolist()
    return [_of_users(history, first, end) for first, end in pairwise(edges)]


def _of_users(history: History, first: int, end: int) -> History:
    rows = slice(int(history.indptr[first]), int(history.indptr[end]))
    return History(
        indptr=history.indptr[first : end + 1] - rows.start,
        item=history.item[rows],
        event_type=history.event_type[rows],
        rating=history.rating[rows],
        timestamp_us=history.timestamp_us[rows],
        event_key=history.event_key[rows],
    )
