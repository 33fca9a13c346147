import math

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from recommender_assets.features.feature_rows import feature_rows
from recommender_assets.features.reduction import (
    principal_components,
    reconstruction_r2,
    reduce_features,
    save_features,
)
from recommender_assets.features.selection import scaled
from recommender_assets.features.user_features import user_features
from recommender_assets.settings import FeaturesSettings, Settings, TrainingSettings
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


def with_features(**changes) -> Settings:
    return msgspec.structs.replace(SETTINGS, features=FeaturesSettings(**changes))


def nothing_hidden(matrix) -> np.ndarray:
    return np.zeros(len(matrix.observations.item), dtype=bool)


@pytest.mark.parametrize("columns", [1, 3, 7, 20, 65])
@pytest.mark.parametrize("share", [0.1, 0.33])
def test_never_more_than_the_share_of_the_selected_columns_is_kept(columns, share):
    matrix = random_matrix(n_users=40)

    found = reduce_features(matrix, nothing_hidden(matrix), with_features(selected_columns=columns, kept_share=share))

    for table in (found.user, found.item):
        assert table.n_selected <= columns
        assert table.n_kept == math.floor(share * table.n_selected)
        assert all(information > 0 for information in table.mutual_information.values())


def test_the_selected_columns_are_those_that_tell_most():
    matrix = random_matrix(n_users=40)

    everything, few = (
        reduce_features(matrix, nothing_hidden(matrix), with_features(selected_columns=n)).user for n in (65, 5)
    )

    assert list(few.mutual_information.items()) == list(everything.mutual_information.items())[:5]


def test_values_are_the_coordinates_of_the_best_rank():
    matrix = random_matrix(n_users=40)
    full = scaled(user_features(feature_rows(matrix, nothing_hidden(matrix))))

    found = reduce_features(matrix, nothing_hidden(matrix), SETTINGS).user

    selected = full.values[:, [full.names.index(name) for name in found.mutual_information]]
    u, sizes, _ = np.linalg.svd(selected - selected.mean(axis=0), full_matrices=False)
    expected = (u * sizes)[:, : found.n_kept]
    np.testing.assert_allclose(np.abs(found.values), np.abs(expected), atol=1e-4)
    assert found.explained_shares == pytest.approx((sizes**2 / (sizes**2).sum()).tolist(), abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_r2_equals_a_naive_computation_on_rows_that_made_no_component(seed):
    values = np.random.default_rng(9).normal(size=(35, 6)) * [6, 5, 4, 1, 1, 1] + 3.0
    order = np.random.default_rng(seed).permutation(35)
    checked, others = values[order[:7]], values[order[7:]]
    _, _, components = np.linalg.svd(others - others.mean(axis=0))

    lost = total = 0.0
    for row in checked:
        rebuilt = others.mean(axis=0)
        for component in components[:3]:
            rebuilt = rebuilt + ((row - others.mean(axis=0)) @ component) * component
        lost += float(np.sum((row - rebuilt) ** 2))
        total += float(np.sum((row - others.mean(axis=0)) ** 2))

    assert reconstruction_r2(values, kept=3, seed=seed) == pytest.approx(1 - lost / total)


def test_r2_grows_with_every_component_to_one_and_is_zero_without():
    values = np.random.default_rng(2).normal(size=(60, 5))

    found = [reconstruction_r2(values, kept, seed=0) for kept in range(6)]

    assert found[0] == pytest.approx(0.0)
    assert found[5] == pytest.approx(1.0)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("values", [np.ones((30, 3)), np.ones((4, 3)), np.empty((30, 0))])
def test_r2_without_rows_columns_or_variance_is_undefined(values):
    assert math.isnan(reconstruction_r2(values, kept=1, seed=0))


def test_components_of_constant_columns_explain_nothing():
    components, shares = principal_components(np.ones((5, 3)))

    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-12)
    assert shares.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", ["view", "rating"])
def test_without_ratings_or_with_equal_ones_no_column_is_worth_keeping(kind, tmp_path):
    rating = 3.0 if kind == "rating" else None
    matrix = matrix_from(events_table([(f"u{u}", f"i{i}", kind, rating) for u in range(9) for i in range(u + 1)]))

    found = reduce_features(matrix, nothing_hidden(matrix), SETTINGS)
    save_features(tmp_path, matrix, found)

    assert (found.user.n_selected, found.item.n_selected) == (0, 0)
    assert found.user.values.shape == (9, 0)
    assert found.user.n_columns > 0
    assert pq.read_table(tmp_path / "item_features.parquet").column_names == ["item_id"]


def test_the_seed_chooses_only_the_rows_that_are_checked():
    matrix = random_matrix(n_users=40)
    reseeded = msgspec.structs.replace(SETTINGS, training=TrainingSettings(seed=5))

    found, again, other = (
        reduce_features(matrix, nothing_hidden(matrix), chosen).user for chosen in (SETTINGS, SETTINGS, reseeded)
    )

    assert found.values.tobytes() == again.values.tobytes() == other.values.tobytes()
    assert found.held_out_r2 == again.held_out_r2 != other.held_out_r2
