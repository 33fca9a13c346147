"""How many items of a category a list may hold."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.categories import CategoryIndex


class CategoryCaps:
    """Room that is left in each category while one list is filled; an item needs room in all of its categories.

    Args:
        index: Categories of the items; an item after its last one is in no category.
        caps: Category code -> how many items of the category may be listed.
    """

    def __init__(self, index: CategoryIndex, caps: Mapping[int, int]) -> None:
        self._index = index
        self._room = dict(caps)
        self._full = {code for code, room in caps.items() if room <= 0}

    def admits(self, item: int) -> bool:
        """Whether there is room for an item."""
        return self._full.isdisjoint(self._categories_of(item))

    def admit(self, item: int) -> bool:
        """Take an item that is admitted into the list; True if a category has become full by it."""
        n_full = len(self._full)
        for code in self._categories_of(item):
            if code in self._room:
                self._room[code] -= 1
                if not self._room[code]:
                    self._full.add(code)
        return len(self._full) > n_full

    def close(self, scores: NDArray[np.floating]) -> None:
        """Set the scores (n,) of all items without room to -inf."""
        if self._full:
            closed = self._index.having(self._full)[self._index.combination]
            scores[: len(closed)][closed] = -np.inf

    def _categories_of(self, item: int) -> tuple[int, ...]:
        if item >= len(self._index.combination):
            return ()
        return self._index.members[self._index.combination[item]]
