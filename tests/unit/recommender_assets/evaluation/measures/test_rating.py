import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from recommender_assets.evaluation.measures.rating import RATING
from tests.splits import NAN, asked, random_split, table_scores


def test_equals_scikit_learn_on_the_pairs_with_a_rating():
    split = random_split()
    table = np.random.default_rng(0).random((25, 60)) * 5
    rated = split.rated_test
    assert len(rated.item) < len(split.test.item)

    found = RATING.measure(table_scores(table), split).values

    predicted = table[rated.user_of_row(), rated.item]
    assert found["rmse"] == pytest.approx(root_mean_squared_error(rated.rating, predicted))
    assert found["mae"] == pytest.approx(mean_absolute_error(rated.rating, predicted))
    assert set(found) == set(RATING.metrics)


def test_no_held_out_rating_leaves_the_errors_undefined():
    found = RATING.measure(table_scores(np.zeros((1, 60))), asked([(0, NAN)])).values

    assert math.isnan(found["rmse"])
    assert math.isnan(found["mae"])


def test_a_user_with_many_ratings_weighs_more():
    found = RATING.measure(table_scores(np.zeros((2, 60))), asked([(0, 4.0)], [(i, 1.0) for i in range(3)])).values

    assert found["mae"] == pytest.approx((4 + 3) / 4)
