"""Features of users: how much, how and what they rate."""

import numpy as np

from recommender_assets.features.feature_columns import FeatureTable, Float64s, group_means, group_sums
from recommender_assets.features.feature_rows import FeatureRows
from recommender_assets.features.shared_columns import (
    PSEUDO_RATINGS,
    oldest_and_newest,
    rating_bin_shares,
    recent_counts,
)

_FIRST_DECADE, _LAST_DECADE = 1960, 2010


def user_features(rows: FeatureRows) -> FeatureTable:
    """One row per user: rating statistics, activity, recency, taste for popular and for old items, categories."""
    columns = {
        **_activity(rows),
        **_rating_statistics(rows),
        **_taste(rows),
        **_categories(rows),
    }
    return FeatureTable.from_columns(columns)


def _activity(rows: FeatureRows) -> dict[str, Float64s]:
    n = rows.n_users
    oldest, newest = oldest_and_newest(rows, rows.user, n)
    return {
        "log_interactions": np.log1p(group_sums(rows.user, n)),
        "log_days_since_first": np.log1p(oldest),
        "log_days_since_last": np.log1p(newest),
        "log_days_active": np.log1p(np.maximum(oldest - newest, 0.0)),
        **recent_counts("log_interactions", rows, rows.user, n),
    }


def _rating_statistics(rows: FeatureRows) -> dict[str, Float64s]:
    rated = rows.rated
    user, rating, n = rows.user[rated], rows.rating[rated].astype(np.float64), rows.n_users
    overall = float(rating.mean()) if len(rating) else 0.0
    mean = group_means(user, n, rating, pseudo_rows=PSEUDO_RATINGS, prior=overall)
    item_mean = group_means(rows.item[rated], rows.n_items, rating, pseudo_rows=PSEUDO_RATINGS, prior=overall)
    return {
        "mean_rating": mean,
        "deviation_of_rating": np.sqrt(group_means(user, n, np.square(rating - mean[user]))),
        "mean_rating_of_rated_items": group_means(user, n, item_mean[rows.item[rated]], prior=overall),
        "mean_offset_to_item": group_means(user, n, rating - item_mean[rows.item[rated]]),
        **rating_bin_shares(rows, user, n, rating),
    }


def _taste(rows: FeatureRows) -> dict[str, Float64s]:
    n = rows.n_users
    log_popularity = np.log1p(group_sums(rows.item, rows.n_items))[rows.item]
    mean_popularity = group_means(rows.user, n, log_popularity)
    dated = np.flatnonzero(rows.year[rows.item] > 0)
    user, year = rows.user[dated], rows.year[rows.item[dated]].astype(np.float64)
    overall = float(year.mean()) if len(year) else 0.0
    mean_year = group_means(user, n, year, prior=overall)
    columns = {
        "mean_log_popularity": mean_popularity,
        "deviation_of_log_popularity": np.sqrt(
            group_means(rows.user, n, np.square(log_popularity - mean_popularity[rows.user]))
        ),
        "mean_year": mean_year,
        "deviation_of_year": np.sqrt(group_means(user, n, np.square(year - mean_year[user]))),
    }
    decade = np.clip(year // 10 * 10, _FIRST_DECADE, _LAST_DECADE)
    for start in range(_FIRST_DECADE, _LAST_DECADE + 10, 10):
        columns[f"share_of_decade_{start}"] = group_means(user, n, (decade == start).astype(np.float64))
    return columns


def _categories(rows: FeatureRows) -> dict[str, Float64s]:
    n, rated = rows.n_users, rows.rated
    rating = rows.rating[rated].astype(np.float64)
    overall = float(rating.mean()) if len(rating) else 0.0
    mean = group_means(rows.user[rated], n, rating, pseudo_rows=PSEUDO_RATINGS, prior=overall)
    columns = {}
    for position, name in enumerate(rows.category_names):
        inside = rows.is_of_category[rows.item, position]
        columns[f"share_of_{name}"] = group_means(rows.user, n, inside)
        columns[f"log_interactions_in_{name}"] = np.log1p(group_sums(rows.user, n, inside))
        here = inside[rated] > 0
        columns[f"mean_rating_in_{name}"] = group_means(
            rows.user[rated][here], n, rating[here], pseudo_rows=PSEUDO_RATINGS, prior=mean
        )
    return columns
