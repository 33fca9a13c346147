"""Exact top-n search over all items for several users at once.

Float32 matrix products give the greatest score of each small group of items, and so every group that could hold an item
of the list; their items are then scored in float64, row by row. So a list depends neither on who else is in the batch
nor on the machine's BLAS, and equal items tie.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK_SCORES = 262_144  # float32 scores of one block, 1 MiB: they stay in the core's cache
_SMALLEST_BLOCK = 4_096
_LARGEST_RESCORING = 4_096  # rows that are scored in float64 at once
_ROUNDING = 2.0**-24  # of one float32 operation
_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One list that is asked for.

    Attributes:
        vector: (k,) float32, the user.
        n: length of the list, at least 1; it is shorter only when fewer items are eligible.
        excluded: item indices to leave out, in any order, repetitions allowed, None = none.
        eligible: (n_items,) which items may appear, None = all.
        bias: (n_items,) float32 added to every item's score, None = zeros.
    """

    vector: NDArray[np.float32]
    n: int
    excluded: NDArray[np.integer] | None = None
    eligible: NDArray[np.bool_] | None = None
    bias: NDArray[np.float32] | None = None


class TopItems(NamedTuple):
    """(m,) int64 item indices and their (m,) float64 scores, greatest first, equal scores by lower index."""

    items: NDArray[np.int64]
    scores: NDArray[np.float64]


_NOTHING = TopItems(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))


class ItemIndex:
    """Item factors, ready to be searched; several threads may search at once.

    Args:
        factors: (n_items, k) float32, C-contiguous and finite.
    """

    def __init__(self, factors: NDArray[np.float32]) -> None:
        self._factors = factors
        blocks = range(0, len(factors), _LARGEST_RESCORING)
        self._longest = max(
            (float(np.linalg.norm(factors[b : b + _LARGEST_RESCORING].astype(float), axis=1).max()) for b in blocks),
            default=0.0,
        )
        # Small groups cost more maxima to select from, large ones more items to score again.
        self._group = 1 if len(factors) <= _SMALLEST_BLOCK else math.isqrt(len(factors) // 150)

    def search(self, queries: Sequence[Query]) -> list[TopItems]:
        """The best items of every query, by `scores`; time and memory traffic are shared between the queries."""
        rows = min(max(_SMALLEST_BLOCK, _BLOCK_SCORES // len(queries)), len(self._factors))
        rows = max(math.ceil(rows / self._group), 1) * self._group
        maxima = self._group_maxima(queries, rows)
        return [self._best(query, maxima[:, place], rows) for place, query in enumerate(queries)]

    def scores(self, query: Query, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """(m,) scores of items: the float64 product of the float32 factors, plus the query's bias.

        Summed along each row by itself, so that an item's score does not depend on the items beside it.
        """
        scores: NDArray[np.float64] = (self._factors[items].astype(np.float64) * query.vector).sum(axis=1)
        return scores if query.bias is None else scores + query.bias[items]

    def _group_maxima(self, queries: Sequence[Query], rows: int) -> NDArray[np.float32]:
        """(n_groups, n_queries) greatest float32 score of each group; -inf where no item is eligible.

        A block of `rows` items has rows / group groups, and a group's items lie that far apart in it.
        """
        starts = range(0, len(self._factors), rows)
        groups = rows // self._group
        maxima = np.empty((len(starts), groups, len(queries)), dtype=np.float32)
        scores = np.empty((rows, len(queries)), dtype=np.float32)
        vectors = np.array([query.vector for query in queries]).T
        exclusions = _exclusions(queries, starts)
        for block, start in enumerate(starts):
            factors = self._factors[start : start + rows]
            np.matmul(factors, vectors, out=scores[: len(factors)])
            scores[len(factors) :] = -np.inf
            for places, owners in exclusions[block]:
                scores[places, owners] = -np.inf
            for place, query in enumerate(queries):
                _apply(query, slice(start, start + len(factors)), scores[: len(factors), place])
            if self._group == 1 and len(starts) == 1:
                return scores
            scores.reshape(self._group, groups, len(queries)).max(axis=0, out=maxima[block])
        return maxima.reshape(-1, len(queries))

    def _best(self, query: Query, maxima: NDArray[np.float32], rows: int) -> TopItems:
        """The list of one query, from the groups that can hold an item of it."""
        floor = _LOWEST
        if len(maxima) > query.n:
            # As many items as the list is long score at least this in float32, and so nearly as much in float64.
            nth = float(np.partition(maxima, len(maxima) - query.n)[len(maxima) - query.n])
            floor = max(floor, nth - self._uncertainty(query))
        groups = np.flatnonzero(maxima >= floor)
        at_once = max(_LARGEST_RESCORING // self._group, 1)
        best = _NOTHING
        for first in range(0, len(groups), at_once):
            items = self._eligible_items_of(groups[first : first + at_once], rows, query)
            found = TopItems(items, self.scores(query, items))
            best = _best_of(_joined(best, found) if first else found, query.n)
        return best

    def _eligible_items_of(self, groups: NDArray[np.int64], rows: int, query: Query) -> NDArray[np.int64]:
        if self._group == 1:  # then the score of a group says whether its only item is eligible
            return groups
        per_block = rows // self._group
        first = groups // per_block * rows + groups % per_block
        items = (first[:, None] + np.arange(0, rows, per_block)).ravel()
        items = items[items < len(self._factors)]
        if query.eligible is not None:
            items = items[query.eligible[items]]
        if query.excluded is not None and len(query.excluded):
            items = items[~_contains(np.sort(query.excluded), items)]
        return items

    def _uncertainty(self, query: Query) -> float:
        """Twice how far a float32 score may lie from the float64 one, whatever the order of the summation.

        The bound is that of Higham, "Accuracy and Stability of Numerical Algorithms" (2002), section 3.1, for the
        product and the bias, generously rounded up.
        """
        largest_bias = 0.0 if query.bias is None else float(np.abs(query.bias).max(initial=0.0))
        vector = query.vector.astype(np.float64)
        size = math.sqrt(vector @ vector) * self._longest + largest_bias
        return 3 * (len(query.vector) + 4) * _ROUNDING * size


def _exclusions(queries: Sequence[Query], starts: range) -> list[list[tuple[NDArray[np.integer], Any]]]:
    """For every block, the (rows in the block, queries) to leave out: index arrays, or the place of one query."""
    excluded = [(query.excluded, place) for place, query in enumerate(queries) if query.excluded is not None]
    if len(starts) <= 1 or not excluded:
        return [excluded for _ in starts]
    items = np.concatenate([of_query for of_query, _ in excluded])
    owners = np.repeat([place for _, place in excluded], [len(of_query) for of_query, _ in excluded])
    order = np.argsort(items, kind="stable")
    items, owners = items[order], owners[order]
    bounds = np.searchsorted(items, [*starts, starts.stop]).tolist()
    return [
        [(items[first:last] - start, owners[first:last])]
        for start, first, last in zip(starts, bounds, bounds[1:], strict=False)
    ]


def _apply(query: Query, rows: slice, scores: NDArray[np.float32]) -> None:
    """Bring the query's bias and mask into the scores of the items in `rows`."""
    if query.bias is not None:
        scores += query.bias[rows]
    if query.eligible is not None:
        scores[~query.eligible[rows]] = -np.inf


def _contains(ascending: NDArray[np.integer], items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which items are in the array, which is not empty."""
    places = np.searchsorted(ascending, items).clip(max=len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[places] == items
    return found


def _joined(one: TopItems, other: TopItems) -> TopItems:
    return TopItems(np.concatenate((one.items, other.items)), np.concatenate((one.scores, other.scores)))


def _best_of(found: TopItems, n: int) -> TopItems:
    order = np.lexsort((found.items, -found.scores))[:n]
    return TopItems(found.items[order], found.scores[order])
