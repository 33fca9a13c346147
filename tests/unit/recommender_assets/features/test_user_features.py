import numpy as np
import pytest

from recommender_assets.features.feature_rows import feature_rows
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
