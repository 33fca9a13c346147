import dataclasses
import math
import statistics

import numpy as np
import pytest

from recommender_assets.features.feature_rows import FeatureRows, feature_rows
from recommender_assets.features.user_features import user_features
from tests.matrices import events_table, matrix_from, random_matrix


def features_of(matrix) -> dict[str, np.ndarray]:
    table = user_features(feature_rows(matrix, np.zeros(len(matrix.observations.item), dtype=bool)))
    return dict(zip(table.names, table.values.T, strict=True))


def test_rating_statistics_of_a_user():
    rows = [("u", "a", "rating", 5.0), ("u", "b", "rating", 1.0), ("u", "c", "view", None), ("v", "a", "rating", 3.0)]

    found = features_of(matrix_from(events_table(rows)))

    assert found["log_interactions"] == pytest.approx(np.log1p([3, 1]))
    assert found["mean_rating"] == pytest.approx([3.0, 3.0])
    assert found["deviation_of_rating"] == pytest.approx([2.0, 0.0])
    assert found["share_of_rating_bin_1"] == pytest.approx([0.5, 0.0])
    assert found["share_of_rating_bin_5"] == pytest.approx([0.5, 0.0])
    assert found["mean_log_popularity"][0] == pytest.approx((np.log(3) + 2 * np.log(2)) / 3)


def test_every_feature_is_finite_also_without_ratings_years_and_categories():
    views = matrix_from(events_table([("u", "a", "view", None), ("v", "b", "click", None)]))

    assert all(np.isfinite(column).all() for column in features_of(views).values())


def test_category_columns_describe_taste():
    found = features_of(random_matrix())

    assert (found["share_of_Drama"] == 1).all()
    assert ((found["share_of_Comedy"] > 0) & (found["share_of_Comedy"] < 1)).all()
    assert np.ptp(found["mean_rating_in_Comedy"]) > 0


def mean_of(values, default: float = 0.0, *, pseudo: float = 0.0) -> float:
    values = list(values)
    return (sum(values) + pseudo * default) / (len(values) + pseudo) if values else default


def bin_of(rating: float) -> int:
    """The five bins of the scale 0.5..5: up to 1.4, 2.3, 3.2, 4.1 and above."""
    return next((index for index, edge in enumerate((1.4, 2.3, 3.2, 4.1)) if rating <= edge), 4)


def pairs_of(rows: FeatureRows):
    """(user, item, rating or None, age) of every row."""
    ratings = [None if math.isnan(rating) else float(rating) for rating in rows.rating]
    return list(zip(rows.user.tolist(), rows.item.tolist(), ratings, rows.age_days.tolist(), strict=True))


def spread_rows() -> FeatureRows:
    """Ages of up to three years, an undated item, a user and an item without a shown row."""
    matrix = random_matrix(n_users=12, n_items=15)
    shown = (matrix.observations.user_of_row() != 4) & (matrix.observations.item != 7)
    rows = feature_rows(matrix, ~shown)
    year = rows.year.copy()
    year[3] = 0
    ages = np.random.default_rng(0).uniform(0, 1_100, len(rows.age_days))
    return dataclasses.replace(rows, age_days=ages, year=year)


def naive_user(rows: FeatureRows, user: int) -> dict[str, float]:
    pairs = pairs_of(rows)
    mine = [pair for pair in pairs if pair[0] == user]
    overall = mean_of(r for _, _, r, _ in pairs if r is not None)
    rated = [(i, r) for _, i, r, _ in mine if r is not None]
    mean = mean_of((r for _, r in rated), overall, pseudo=5)
    oldest = max((age for *_, age in mine), default=0.0)
    newest = min((age for *_, age in mine), default=max(age for *_, age in pairs))
    popularity = [math.log1p(sum(other[1] == i for other in pairs)) for _, i, _, _ in mine]
    years = [int(rows.year[i]) for _, i, _, _ in mine if rows.year[i] > 0]
    all_years = mean_of(int(rows.year[i]) for _, i, _, _ in pairs if rows.year[i] > 0)

    def item_mean(item: int) -> float:
        return mean_of((r for _, i, r, _ in pairs if i == item and r is not None), overall, pseudo=5)

    found = {
        "log_interactions": math.log1p(len(mine)),
        "log_days_since_first": math.log1p(oldest),
        "log_days_since_last": math.log1p(newest),
        "log_days_active": math.log1p(max(oldest - newest, 0)),
        "log_interactions_30_days": math.log1p(sum(age <= 30 for *_, age in mine)),
        "log_interactions_365_days": math.log1p(sum(age <= 365 for *_, age in mine)),
        "mean_rating": mean,
        "deviation_of_rating": math.sqrt(mean_of((r - mean) ** 2 for _, r in rated)),
        "mean_rating_of_rated_items": mean_of((item_mean(i) for i, _ in rated), overall),
        "mean_offset_to_item": mean_of(r - item_mean(i) for i, r in rated),
        "mean_log_popularity": mean_of(popularity),
        "deviation_of_log_popularity": statistics.pstdev(popularity) if popularity else 0.0,
        "mean_year": mean_of(years, all_years),
        "deviation_of_year": statistics.pstdev(years) if years else 0.0,
    }
    for index in range(5):
        found[f"share_of_rating_bin_{index + 1}"] = mean_of(float(bin_of(r) == index) for _, r in rated)
    for decade in range(1960, 2020, 10):
        inside = [min(max(year // 10 * 10, 1960), 2010) == decade for year in years]
        found[f"share_of_decade_{decade}"] = mean_of(map(float, inside))
    for category, name in enumerate(rows.category_names):
        of_it = [pair for pair in mine if rows.is_of_category[pair[1], category]]
        found[f"share_of_{name}"] = len(of_it) / len(mine) if mine else 0.0
        found[f"log_interactions_in_{name}"] = math.log1p(len(of_it))
        found[f"mean_rating_in_{name}"] = mean_of((r for _, _, r, _ in of_it if r is not None), mean, pseudo=5)
    return found


def test_every_column_equals_a_loop_over_the_pairs():
    rows = spread_rows()
    year = rows.year.copy()
    year[:3] = (1923, 1965, 2031)  # before the first and after the last decade
    rows = dataclasses.replace(rows, year=year)

    table = user_features(rows)

    for user in range(rows.n_users):
        found = dict(zip(table.names, table.values[user].tolist(), strict=True))
        assert found == pytest.approx(naive_user(rows, user), abs=1e-6)


def test_one_pair_is_enough():
    found = features_of(matrix_from(events_table([("u", "a", "rating", 2.0)])))

    assert found["mean_rating"].tolist() == [2.0]
    assert found["mean_offset_to_item"].tolist() == [0.0]
    assert found["log_days_active"].tolist() == [0.0]


def test_equal_ratings_leave_nothing_to_tell_users_apart_by_rating():
    rows = [(f"u{u}", f"i{i}", "rating", 3.0) for u in range(5) for i in range(u + 1)]

    found = features_of(matrix_from(events_table(rows)))

    assert (found["mean_rating"] == 3.0).all()
    assert not found["deviation_of_rating"].any()
    assert not found["mean_offset_to_item"].any()
    assert (np.diff(found["log_interactions"]) > 0).all()
