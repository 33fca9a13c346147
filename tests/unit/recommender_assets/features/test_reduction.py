import numpy as np
import pyarrow.parquet as pq
import pytest

from recommender_assets.features.reduction import (
    principal_components,
    reconstruction_r2,
    reduce_features,
    save_features,
)
from recommender_assets.training.hold_out import hold_out_mask
from tests.matrices import default_settings, events_table, matrix_from, movielens_matrix, random_matrix

SETTINGS = default_settings()


def test_components_are_orthonormal_ordered_and_of_fixed_sign():
    values = np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, 3, 2, 1, 0.5]

    components, shares = principal_components(values)

    np.testing.assert_allclose(components @ components.T, np.eye(6), atol=1e-10)
    assert shares.sum() == pytest.approx(1.0)
    assert (np.diff(shares) <= 0).all()
    assert (components.max(axis=1) >= -components.min(axis=1)).all()


def test_reconstruction_is_perfect_for_data_of_that_rank_and_poor_for_noise():
    random = np.random.default_rng(0)
    flat = random.normal(size=(200, 3)) @ random.normal(size=(3, 12)) + 4.0

    assert reconstruction_r2(flat, kept=3, seed=0) == pytest.approx(1.0)
    assert reconstruction_r2(random.normal(size=(200, 12)), kept=3, seed=0) < 0.4


def test_real_users_keep_their_information_in_a_third_of_the_columns():
    matrix = movielens_matrix()

    found = reduce_features(matrix, hold_out_mask(matrix, 0.1), SETTINGS)

    assert found.user.held_out_r2 >= 0.89
    assert found.item.held_out_r2 >= 0.8
    for table, n in ((found.user, 671), (found.item, 9066)):
        assert table.values.shape == (n, table.n_kept)
        assert table.n_kept <= 0.33 * table.n_selected <= 0.33 * table.n_columns
        assert len(table.explained_shares) == table.n_selected
        assert list(table.mutual_information.values()) == sorted(table.mutual_information.values(), reverse=True)


def test_held_out_ratings_change_nothing():
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(20) for i in range(15)]
    matrix = matrix_from(events_table(rows))
    mask = hold_out_mask(matrix, 0.2)
    pairs = zip(matrix.observations.user_of_row()[mask], matrix.observations.item[mask], strict=True)
    hidden = {(matrix.user_ids[u], matrix.item_ids[i]) for u, i in pairs}
    other = matrix_from(events_table([(u, i, kind, 5.5 - r if (u, i) in hidden else r) for u, i, kind, r in rows]))

    found, again = (reduce_features(m, mask, SETTINGS) for m in (matrix, other))

    assert hidden
    assert found.user.values.tobytes() == again.user.values.tobytes()
    assert found.item.values.tobytes() == again.item.values.tobytes()


def test_a_matrix_that_tells_nothing_has_no_components():
    matrix = matrix_from(events_table([("u", "a", "rating", 4.0)]))

    found = reduce_features(matrix, np.zeros(1, dtype=bool), SETTINGS)

    assert found.user.values.shape == (1, 0)
    assert np.isnan(found.user.held_out_r2)


def test_saved_features_carry_their_ids(tmp_path):
    matrix = random_matrix()
    found = reduce_features(matrix, np.zeros(len(matrix.observations.item), dtype=bool), SETTINGS)

    save_features(tmp_path / "features", matrix, found)

    users = pq.read_table(tmp_path / "features" / "user_features.parquet")
    assert users["user_id"].to_pylist() == matrix.user_ids[:]
    np.testing.assert_array_equal(users["component_1"].to_numpy(), found.user.values[:, 0])
    assert pq.read_table(tmp_path / "features" / "item_features.parquet").num_rows == matrix.n_items
