"""Ranking factors of items that nobody in the training rows has interacted with, from what they are.

A ridge regression (Hoerl and Kennard 1970) maps the content of items to the factors that interactions gave them; it is
then applied to the items without any, so that they can be listed before their first interaction.
"""

from dataclasses import replace

import numpy as np

from recommender_assets.features.feature_columns import FeatureTable
from recommender_assets.training.heads import Heads
from recommender_serving.engine.history import Observations

_PENALTY = 10.0  # chosen by leaving out a tenth of the embedded set's films
_LEAST_ITEMS = 50  # with interactions, to learn the map from


def with_cold_items(heads: Heads, observations: Observations, content: FeatureTable) -> Heads:
    """The same heads, with ranking factors for the items that `observations` have no row of.

    Without any column of content, or with too few items to learn from, they stay as they are: near zero.

    Args:
        heads: fitted to `observations`.
        observations: what the heads were fitted to.
        content: one row per item.
    """
    factors = heads.ranking.item_factors
    is_warm = np.bincount(observations.item, minlength=len(factors)) > 0
    if is_warm.all() or not content.names or is_warm.sum() < _LEAST_ITEMS:
        return heads
    design = np.column_stack([np.ones(len(factors)), content.values])
    warm = design[is_warm]
    penalty = _PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(warm.T @ warm + penalty, warm.T @ factors[is_warm].astype(np.float64))
    mapped = (design[~is_warm] @ weights).astype(np.float32)
    completed = factors.copy()
    completed[~is_warm] = np.maximum(mapped, np.float32(0.0)) if heads.ranking.non_negative else mapped
    return replace(heads, ranking=replace(heads.ranking, item_factors=completed))
