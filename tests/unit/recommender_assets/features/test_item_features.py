import numpy as np
import pytest

from recommender_assets.features.feature_rows import feature_rows
from recommender_assets.features.item_features import item_features
from tests.matrices import events_table, matrix_from, random_matrix


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
