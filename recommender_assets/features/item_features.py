"""Features of items: how popular and how liked they are, when, by whom, and what they are."""

import numpy as np

from recommender_assets.features.feature_columns import FeatureTable, Float64s, group_means, group_sums
from recommender_assets.features.feature_rows import FeatureRows
from recommender_assets.features.shared_columns import (
    PSEUDO_RATINGS,
    oldest_and_newest,
    rating_bin_shares,
    recent_counts,
)


def item_features(rows: FeatureRows) -> FeatureTable:
    """One row per item: popularity, rating statistics, recency, its users' habits and tastes, year, categories."""
    columns = {
        **_popularity(rows),
        **_rating_statistics(rows),
        **_audience(rows),
        "year": _years(rows),
        **{f"is_{name}": rows.is_of_category[:, i] for i, name in enumerate(rows.category_names)},
    }
    return FeatureTable.from_columns(columns)


def _popularity(rows: FeatureRows) -> dict[str, Float64s]:
    n = rows.n_items
    oldest, newest = oldest_and_newest(rows, rows.item, n)
    return {
        "log_users": np.log1p(group_sums(rows.item, n)),
        "log_days_since_first": np.log1p(oldest),
        "log_days_since_last": np.log1p(newest),
        **recent_counts("log_users", rows, rows.item, n),
    }


def _rating_statistics(rows: FeatureRows) -> dict[str, Float64s]:
    rated = rows.rated
    item, rating, n = rows.item[rated], rows.rating[rated].astype(np.float64), rows.n_items
    overall = float(rating.mean()) if len(rating) else 0.0
    mean = group_means(item, n, rating, pseudo_rows=PSEUDO_RATINGS, prior=overall)
    return {
        "mean_rating": mean,
        "deviation_of_rating": np.sqrt(group_means(item, n, np.square(rating - mean[item]))),
        **rating_bin_shares(rows, item, n, rating),
    }


def _audience(rows: FeatureRows) -> dict[str, Float64s]:
    """Means over an item's users of what those users are like, the item itself included."""
    n, rated = rows.n_items, rows.rated
    rating = rows.rating[rated].astype(np.float64)
    overall = float(rating.mean()) if len(rating) else 0.0
    user_mean = group_means(rows.user[rated], rows.n_users, rating, pseudo_rows=PSEUDO_RATINGS, prior=overall)
    activity = np.log1p(group_sums(rows.user, rows.n_users))
    columns = {
        "mean_log_activity_of_users": group_means(rows.item, n, activity[rows.user]),
        "mean_rating_of_users": group_means(rows.item, n, user_mean[rows.user], prior=overall),
    }
    for position, name in enumerate(rows.category_names):
        share = group_means(rows.user, rows.n_users, rows.is_of_category[rows.item, position])
        columns[f"users_share_of_{name}"] = group_means(
            rows.item, n, share[rows.user], pseudo_rows=PSEUDO_RATINGS, prior=float(share.mean())
        )
    return columns


def _years(rows: FeatureRows) -> Float64s:
    known = rows.year > 0
    middle = float(np.median(rows.year[known])) if known.any() else 0.0
    return np.where(known, rows.year, middle).astype(np.float64)
