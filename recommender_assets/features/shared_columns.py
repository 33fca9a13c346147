"""Columns that users and items have alike, computed for either side of the pairs."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.feature_columns import Float64s, group_means, group_sums
from recommender_assets.features.feature_rows import FeatureRows

PSEUDO_RATINGS = 5.0
"""How many ratings of the overall mean every mean rating is drawn towards."""

_RATING_BINS = 5
_RECENT_DAYS = (30, 365)

Groups = NDArray[np.int32]


def oldest_and_newest(rows: FeatureRows, group: Groups, n: int) -> tuple[Float64s, Float64s]:
    """Age in days of each group's first and last pair, both (n,)."""
    oldest, newest = np.zeros(n), np.full(n, rows.age_days.max(initial=0.0))
    np.maximum.at(oldest, group, rows.age_days)
    np.minimum.at(newest, group, rows.age_days)
    return oldest, newest


def recent_counts(name: str, rows: FeatureRows, group: Groups, n: int) -> dict[str, Float64s]:
    """Logarithm of each group's pairs of the last 30 and 365 days, as columns `<name>_<days>_days`."""
    return {
        f"{name}_{days}_days": np.log1p(group_sums(group, n, (rows.age_days <= days).astype(np.float64)))
        for days in _RECENT_DAYS
    }


def rating_bin_shares(rows: FeatureRows, group: Groups, n: int, rating: Float64s) -> dict[str, Float64s]:
    """Share of each group's ratings in each fifth of the scale; `group` and `rating` are those of the rated pairs."""
    edges = np.linspace(rows.lowest, rows.highest, _RATING_BINS + 1)[1:-1]
    of_bin = np.digitize(rating, edges, right=True)
    return {
        f"share_of_rating_bin_{index + 1}": group_means(group, n, (of_bin == index).astype(np.float64))
        for index in range(_RATING_BINS)
    }
