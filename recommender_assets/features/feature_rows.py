"""What features are computed from: one aligned row per observed pair, and the categories of the items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.categories import most_frequent_categories
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.pair_times import pair_times

_MICROSECONDS_PER_DAY = 86_400e6


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Observed pairs outside the hold-out, and everything known about their items.

    Attributes:
        user, item: (n,) index of each pair.
        rating: (n,) NaN without a rating.
        age_days: (n,) days between the pair's latest event and the latest event of all.
        n_users, n_items: sizes of both sides.
        lowest, highest: ends of the rating scale.
        year: (n_items,) 0 if unknown.
        category_names: at most 20, the most frequent first.
        is_of_category: (n_items, n_categories) 1 or 0.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    age_days: NDArray[np.float64]
    n_users: int
    n_items: int
    lowest: float
    highest: float
    year: NDArray[np.int16]
    category_names: tuple[str, ...]
    is_of_category: NDArray[np.float64]

    @property
    def rated(self) -> NDArray[np.int64]:
        """Positions of the rows with a rating."""
        return np.flatnonzero(~np.isnan(self.rating))


def feature_rows(matrix: UserItemMatrix, held_out: NDArray[np.bool_]) -> FeatureRows:
    """The rows outside the hold-out, so that no feature knows a held-out rating."""
    observations = matrix.observations
    names, is_of_category = most_frequent_categories(matrix.catalogue)
    shown = ~held_out
    return FeatureRows(
        user=observations.user_of_row()[shown],
        item=observations.item[shown],
        rating=observations.rating[shown],
        age_days=_ages(matrix)[shown],
        n_users=matrix.n_users,
        n_items=matrix.n_items,
        lowest=matrix.scale.min,
        highest=matrix.scale.max,
        year=matrix.catalogue.year,
        category_names=names,
        is_of_category=is_of_category,
    )


def _ages(matrix: UserItemMatrix) -> NDArray[np.float64]:
    """Days since the latest event of every observed pair."""
    latest = pair_times(matrix)
    ages: NDArray[np.float64] = (latest.max(initial=0) - latest) / _MICROSECONDS_PER_DAY
    return ages
