import math

import numpy as np
import pytest

from recommender_assets.features.rating_prediction import rating_r2
from recommender_assets.features.reduction import reduce_features
from recommender_assets.training.hold_out import hold_out_mask
from tests.matrices import default_settings, events_table, matrix_from, movielens_matrix, random_matrix


def none_held_out(matrix):
    return np.zeros(len(matrix.observations.item), dtype=bool)


def half_held_out(matrix):
    return np.arange(len(matrix.observations.item)) % 2 == 0


def test_features_that_make_the_ratings_explain_them():
    random = np.random.default_rng(0)
    user, item = random.normal(size=(20, 2)), random.normal(size=(15, 2))
    stars = 3 + 0.3 * user[:, :1] + 0.2 * item[:, 1] + 0.2 * user[:, :1] * item[:, 0]
    rows = [(f"u{u:02}", f"i{i:02}", "rating", float(stars[u, i])) for u in range(20) for i in range(15)]
    matrix = matrix_from(events_table(rows))

    found = rating_r2(matrix, half_held_out(matrix), user.astype(np.float32), item.astype(np.float32))

    assert found == pytest.approx(1.0, abs=0.02)


def test_features_of_chance_explain_nothing():
    matrix = random_matrix(n_users=60, n_items=40)
    random = np.random.default_rng(1)
    user, item = (random.normal(size=(n, 3)).astype(np.float32) for n in (matrix.n_users, matrix.n_items))

    assert rating_r2(matrix, half_held_out(matrix), user, item) < 0.1


def test_held_out_ratings_do_not_teach():
    matrix = random_matrix(n_users=30, n_items=20)
    held_out, features = half_held_out(matrix), np.ones((30, 1), dtype=np.float32)
    before = rating_r2(matrix, held_out, features, np.ones((20, 1), dtype=np.float32))
    matrix.observations.rating[held_out] = np.where(np.isnan(matrix.observations.rating[held_out]), np.nan, 0.5)

    # Constant features predict the mean of the others, wherever the held-out ratings are moved to.
    assert before == pytest.approx(0.0, abs=0.05)
    assert rating_r2(matrix, held_out, features, np.ones((20, 1), dtype=np.float32)) == pytest.approx(0.0, abs=1e-6)


def test_without_ratings_on_either_side_there_is_no_figure():
    matrix = random_matrix()
    features = (np.ones((matrix.n_users, 2), np.float32), np.ones((matrix.n_items, 2), np.float32))

    assert math.isnan(rating_r2(matrix, none_held_out(matrix), *features))
    assert math.isnan(rating_r2(matrix, ~none_held_out(matrix), *features))


def test_reduced_features_of_real_ratings_explain_a_part_of_them():
    matrix = movielens_matrix()
    held_out = hold_out_mask(matrix, 0.1)
    features = reduce_features(matrix, held_out, default_settings())

    assert 0.15 < rating_r2(matrix, held_out, features.user.values, features.item.values) < 0.5
