"""Ranking factors of items that nobody in the training rows has interacted with, from what they are.

A ridge regression (Hoerl and Kennard 1970) maps the content of items to the factors that interactions gave them; it is
then applied to the items without any, so that they can be listed before their first interaction.

The map alone takes an item that nobody has met for one like those that it learned from. So its factors are scaled by
how much interest unmet items have got so far: where all that are met are met often, unmet ones come after them.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recommender_assets.features.feature_columns import FeatureTable
from recommender_assets.training.heads import Heads
from recommender_serving.engine.history import Observations

_PENALTY = 10.0  # chosen by leaving out a tenth of the embedded set's films
_LEAST_ITEMS = 50  # with interactions, to learn the map from


def with_cold_items(heads: Heads, observations: Observations, content_of_items: Callable[[], FeatureTable]) -> Heads:
    """The same heads, with ranking factors for the items that `observations` have no row of.

    Without any column of content, or with too few items to learn from, they stay as they are: near zero.

    Args:
        heads: fitted to `observations`.
        observations: what the heads were fitted to.
        content_of_items: makes the table with one row per item; called only if there is something to do with it.
    """
    factors = heads.ranking.item_factors
    is_warm = np.bincount(observations.item, minlength=len(factors)) > 0
    if is_warm.all() or is_warm.sum() < _LEAST_ITEMS:
        return heads
    content = content_of_items()
    if not content.names:
        return heads
    design = np.column_stack([np.ones(len(factors)), content.values])
    warm = design[is_warm]
    penalty = _PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(warm.T @ warm + penalty, warm.T @ factors[is_warm].astype(np.float64))
    mapped = (design[~is_warm] @ weights * expected_interest(observations, len(factors))).astype(np.float32)
    completed = factors.copy()
    completed[~is_warm] = np.maximum(mapped, np.float32(0.0)) if heads.ranking.non_negative else mapped
    return replace(heads, ranking=replace(heads.ranking, item_factors=completed))


def expected_interest(observations: Observations, n_items: int) -> float:
    """Interactions that an item without any can expect, as a share of the mean item's with some; at most 1.

    By Good and Turing (Good 1953, "The population frequencies of species") all unmet items together can expect as much
    as the items that were met once have got.
    """
    met = np.bincount(observations.item, minlength=n_items)
    unmet, once = int((met == 0).sum()), int((met == 1).sum())
    return min(1.0, max(once, 1) / max(unmet, 1) / float(met[met > 0].mean()))
