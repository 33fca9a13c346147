import dataclasses
import math
import statistics

import numpy as np
import pytest

from recommender_assets.features.feature_rows import FeatureRows, feature_rows
from recommender_assets.features.item_features import item_features
from recommender_assets.features.matrix import matrix_of_events
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.manifest import Position
from tests.matrices import NO_ITEMS, events_table, matrix_from, random_matrix


def features_of(matrix) -> dict[str, np.ndarray]:
    table = item_features(feature_rows(matrix, np.zeros(len(matrix.observations.item), dtype=bool)))
    return dict(zip(table.names, table.values.T, strict=True))


def test_popularity_ratings_and_audience_of_an_item():
    rows = [("u", "a", "rating", 5.0), ("v", "a", "rating", 1.0), ("u", "b", "rating", 3.0)]

    found = features_of(matrix_from(events_table(rows)))

    assert found["log_users"] == pytest.approx(np.log1p([2, 1]))
    assert found["mean_rating"] == pytest.approx([3.0, 3.0])
    assert found["deviation_of_rating"] == pytest.approx([2.0, 0.0])
    assert found["mean_log_activity_of_users"] == pytest.approx([(np.log(3) + np.log(2)) / 2, np.log(3)])


def test_every_feature_is_finite_also_without_ratings_years_and_categories():
    views = matrix_from(events_table([("u", "a", "view", None), ("v", "b", "click", None)]))

    assert all(np.isfinite(column).all() for column in features_of(views).values())


def test_year_and_categories_are_those_of_the_catalogue():
    matrix = random_matrix()
    found = features_of(matrix)

    assert found["year"][matrix.item_ids.index("i7")] == 1997
    assert found["is_Comedy"][matrix.item_ids.index("i7")] == 1
    assert found["is_Comedy"][matrix.item_ids.index("i8")] == 0


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


def naive_item(rows: FeatureRows, item: int) -> dict[str, float]:
    pairs = pairs_of(rows)
    mine = [pair for pair in pairs if pair[1] == item]
    overall = mean_of(r for _, _, r, _ in pairs if r is not None)
    rated = [r for _, _, r, _ in mine if r is not None]
    mean = mean_of(rated, overall, pseudo=5)
    oldest = max((age for *_, age in mine), default=0.0)
    newest = min((age for *_, age in mine), default=max(age for *_, age in pairs))
    known_years = [int(year) for year in rows.year if year > 0]

    def user_mean(user: int) -> float:
        return mean_of((r for u, _, r, _ in pairs if u == user and r is not None), overall, pseudo=5)

    def user_share(user: int, category: int) -> float:
        return mean_of(float(rows.is_of_category[i, category]) for u, i, _, _ in pairs if u == user)

    found = {
        "log_users": math.log1p(len(mine)),
        "log_days_since_first": math.log1p(oldest),
        "log_days_since_last": math.log1p(newest),
        "log_users_30_days": math.log1p(sum(age <= 30 for *_, age in mine)),
        "log_users_365_days": math.log1p(sum(age <= 365 for *_, age in mine)),
        "mean_rating": mean if rated else overall,
        "deviation_of_rating": math.sqrt(mean_of((r - mean) ** 2 for r in rated)),
        "mean_log_activity_of_users": mean_of(
            math.log1p(sum(other[0] == user for other in pairs)) for user, *_ in mine
        ),
        "mean_rating_of_users": mean_of((user_mean(user) for user, *_ in mine), overall),
        "year": float(rows.year[item]) if rows.year[item] > 0 else statistics.median(known_years),
    }
    for index in range(5):
        found[f"share_of_rating_bin_{index + 1}"] = mean_of(float(bin_of(r) == index) for r in rated)
    for category, name in enumerate(rows.category_names):
        everyone = mean_of(user_share(user, category) for user in range(rows.n_users))
        found[f"users_share_of_{name}"] = mean_of((user_share(u, category) for u, *_ in mine), everyone, pseudo=5)
        found[f"is_{name}"] = float(rows.is_of_category[item, category])
    return found


def test_every_column_equals_a_loop_over_the_pairs():
    rows = spread_rows()

    table = item_features(rows)

    for item in range(rows.n_items):
        assert dict(zip(table.names, table.values[item].tolist(), strict=True)) == pytest.approx(naive_item(rows, item))


def test_one_pair_is_enough():
    found = features_of(matrix_from(events_table([("u", "a", "rating", 2.0)])))

    assert found["mean_rating"].tolist() == [2.0]
    assert found["share_of_rating_bin_2"].tolist() == [1.0]
    assert found["log_days_since_first"].tolist() == found["log_days_since_last"].tolist() == [0.0]
    assert found["year"].tolist() == [0.0]


def test_ratings_at_the_edge_of_a_bin_belong_to_the_lower_one():
    events = events_table([(f"u{stars}", "a", "rating", float(stars)) for stars in range(1, 7)])

    found = features_of(matrix_of_events(events, NO_ITEMS, Position(), EventWeights(), RatingScale(min=1.0, max=6.0)))

    shares = [found[f"share_of_rating_bin_{index}"][0] * 6 for index in range(1, 6)]
    assert shares == pytest.approx([2, 1, 1, 1, 1])
