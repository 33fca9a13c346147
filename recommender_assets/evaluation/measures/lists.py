"""The first items of every user's catalogue, and which of them are relevant."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.scores import BlockScores
from recommender_assets.evaluation.top_items import top_items
from recommender_serving.engine.history import Observations

_BLOCK_SCORES = 4_000_000  # bounds the memory of one block


@dataclass(frozen=True, eq=False)
class Relevance:
    """Which listed items are relevant, and how many there are.

    Attributes:
        is_relevant: (n_users, n) whether the item at each rank is relevant.
        n_relevant: (n_users,) all relevant items of the user, listed or not.
    """

    is_relevant: NDArray[np.bool_]
    n_relevant: NDArray[np.int64]


def user_blocks(n_users: int, n_items: int) -> Iterator[slice]:
    """All users, so many at a time that their scores fit into 16 MB."""
    block = max(1, _BLOCK_SCORES // n_items)
    for start in range(0, n_users, block):
        yield slice(start, min(start + block, n_users))


def unseen_lists(scores: BlockScores, seen: Observations, n_items: int, n: int) -> NDArray[np.int64]:
    """(n_users, n) best items that are not among the user's seen ones, -1 where a list has ended."""
    user = seen.user_of_row()
    lists = np.empty((seen.n_users, n), dtype=np.int64)
    for users in user_blocks(seen.n_users, n_items):
        rows = slice(int(seen.indptr[users.start]), int(seen.indptr[users.stop]))
        of_block = scores(users)
        of_block[user[rows] - users.start, seen.item[rows]] = -np.inf
        lists[users] = top_items(of_block, n)
    return lists


def relevance(lists: NDArray[np.int64], relevant: Observations, n_items: int) -> Relevance:
    """Look every listed item up among the user's relevant ones."""
    user = np.arange(len(lists))[:, None]
    wanted = np.where(lists >= 0, user * n_items + lists, -1)
    pairs = relevant.user_of_row().astype(np.int64) * n_items + relevant.item  # ascending
    place = np.minimum(np.searchsorted(pairs, wanted), max(0, len(pairs) - 1))
    is_relevant = pairs[place] == wanted if len(pairs) else np.zeros(lists.shape, dtype=np.bool_)
    return Relevance(is_relevant, np.diff(relevant.indptr))
