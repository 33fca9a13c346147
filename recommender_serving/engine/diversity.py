"""Lists whose items differ from each other: maximal marginal relevance, exact over the whole catalogue.

Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking for reordering documents". Items are taken one
by one; the next is the one with the greatest

    (1 - diversity) * relevance - diversity * (greatest cosine with an item taken before)

where relevance is the score, moved linearly so that the eligible items span 0..1, and the cosine is that of the
ranking factors. A value never grows while the list does, so values that have not been worked out again are upper
bounds, and only those that could win need it (Minoux 1978, "Accelerated greedy algorithms").
"""

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.best_scores import best
from recommender_serving.engine.category_caps import CategoryCaps
from recommender_serving.engine.item_space import ItemSpace

_FIRST_BATCH = 256


def diverse(
    space: ItemSpace, scores: NDArray[np.float32], n: int, diversity: float, caps: CategoryCaps
) -> NDArray[np.int64]:
    """The `n` items that are taken, in that order; equal values by lower index.

    Args:
        space: The items.
        scores: (n_items,) -inf marks what is not eligible.
        n: How many; fewer are returned only when no eligible item is left that `caps` admit.
        diversity: 0 (the best scores) to 1 (after the best one, only difference counts).
        caps: Room per category.
    """
    scores = scores.copy()
    caps.close(scores)
    taken = best(scores, min(n, 1)).tolist()
    if not taken:
        return np.empty(0, dtype=np.int64)
    values = _Values(space, scores, diversity)
    while True:
        values.take(taken[-1])
        if caps.admit(taken[-1]):
            caps.close(values.bounds)
        if len(taken) == n or (following := values.greatest()) is None:
            return np.array(taken, dtype=np.int64)
        taken.append(following)


class _Values:
    """Upper bounds of the items' values, exact for those that have been compared with every item taken."""

    def __init__(self, space: ItemSpace, scores: NDArray[np.float32], diversity: float) -> None:
        eligible = scores > -np.inf
        lowest = scores.min(where=eligible, initial=np.inf)
        span = scores.max() - lowest
        self._space = space
        self._diversity = np.float32(diversity)
        self._relevance = np.where(eligible, (scores - lowest) / (span if span > 0 else 1), 0)
        self._relevance *= np.float32(1 - diversity)
        self._taken: list[int] = []
        self._compared = np.zeros(len(scores), dtype=np.int16)
        self.bounds = np.where(eligible, self._relevance, np.float32(-np.inf))

    def take(self, item: int) -> None:
        """Put an item on the list; the first is compared with all items at once."""
        self._taken.append(item)
        if len(self._taken) == 1:
            self.bounds -= self._diversity * self._space.cosines(item)
            self._compared[:] = 1
        self.bounds[item] = -np.inf

    def greatest(self) -> int | None:
        """The item with the greatest value, None if none is left."""
        batch = _FIRST_BATCH
        while len(candidates := best(self.bounds, batch)):
            stale = candidates[self._compared[candidates] < len(self._taken)]
            if not len(stale) or candidates[0] != stale[0]:
                return int(candidates[0])
            self._compare(stale)
            batch *= 2
        return None

    def _compare(self, items: NDArray[np.int64]) -> None:
        taken = np.array(self._taken)
        products = self._space.vectors(items) @ self._space.vectors(taken).T
        lengths = self._space.norms[items, None] * self._space.norms[taken]
        cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0).max(axis=1)
        # A minimum, because rounding must not let a value grow.
        values = self._relevance[items] - self._diversity * cosines
        self.bounds[items] = np.minimum(self.bounds[items], values)
        self._compared[items] = len(self._taken)
