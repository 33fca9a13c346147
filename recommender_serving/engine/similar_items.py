"""Exact search for the items whose factors point in the same direction.

Float32 cosines give every item that could be on the list; those alone are scored again in float64, row by row, so that
equal items tie.
"""

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.best_scores import best
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.top_items import TopItems

_ROUNDING = 2.0**-24  # of one float32 operation


def most_similar(space: ItemSpace, item: int, n: int) -> TopItems:
    """The `n` items with the greatest cosine with one item in the space of the ranking head.

    Args:
        space: The items.
        item: Index of the item to compare with; it is not on the list, nor are items whose vector is zero.
        n: Length of the list, at least 1; it is shorter if fewer items have a direction, empty if `item` has none.
    """
    cosines = space.cosines(item)
    cosines[space.norms == 0] = -np.inf
    cosines[item] = -np.inf
    if space.norms[item] == 0:
        cosines[:] = -np.inf
    nearly = best(cosines, n)
    if not len(nearly):
        return TopItems(nearly, np.empty(0))
    vector = space.vectors(np.array([item]))[0].astype(np.float64)
    candidates = np.flatnonzero(cosines >= cosines[nearly[-1]] - _uncertainty(len(vector)))
    exact = _cosines(space.vectors(candidates).astype(np.float64), vector)
    order = np.lexsort((candidates, -exact))[:n]
    return TopItems(candidates[order], exact[order])


def _cosines(vectors: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) cosines of (m, k) vectors with one, none of them zero; each row is summed by itself."""
    lengths = np.sqrt((vectors**2).sum(axis=1)) * np.sqrt((vector**2).sum())
    cosines: NDArray[np.float64] = (vectors * vector).sum(axis=1) / lengths
    return cosines.clip(-1.0, 1.0)


def _uncertainty(k: int) -> float:
    """Twice how far a float32 cosine of k factors may lie from the float64 one, generously rounded up.

    For the product and both lengths the bound of Higham, "Accuracy and Stability of Numerical Algorithms" (2002),
    section 3.1, holds relative to the product of the lengths.
    """
    return 6 * (k + 8) * _ROUNDING
