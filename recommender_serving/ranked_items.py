"""The best items of a catalogue under rules that weigh or spread scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.item_rules import Rules, Selector
from recommender_serving.engine.item_space import ItemSpace

LARGE_CATALOGUE = 100_000  # items; their scores are worked out in a thread


@dataclass(frozen=True, slots=True, eq=False)
class RankedItems:
    """The items of a list with their scores before and after discount and boosts."""

    items: NDArray[np.int64]
    raw_scores: NDArray[np.float64]
    scores: NDArray[np.float64]


def rank_items(  # noqa: PLR0917
    selector: Selector,
    space: ItemSpace,
    vector: NDArray[np.float32] | None,
    rules: Rules,
    n: int,
    seen: NDArray[np.integer],
) -> RankedItems:
    """The best `n` items, best first.

    Args:
        selector: Applies the rules.
        space: The catalogue.
        vector: (k,) of the user in the ranking head; None ranks by popularity.
        rules: What may be listed, and how scores are weighed.
        n: Length of the list.
        seen: Indices that are left out besides.
    """
    raw = space.popularity if vector is None else space.scores(vector)
    scores = selector.weighed(space, raw, rules)
    items = selector.select(space, scores, selector.eligible(space, rules, seen), n, rules)
    return RankedItems(items, raw[items].astype(np.float64), scores[items].astype(np.float64))
