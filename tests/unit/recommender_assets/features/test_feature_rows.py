import numpy as np

from recommender_assets.features.feature_rows import feature_rows
from tests.matrices import events_table, matrix_from, random_matrix


def test_held_out_pairs_are_left_out():
    matrix = random_matrix()
    held_out = np.arange(len(matrix.observations.item)) % 4 == 0

    rows = feature_rows(matrix, held_out)

    np.testing.assert_array_equal(rows.item, matrix.observations.item[~held_out])
    np.testing.assert_array_equal(rows.user, matrix.observations.user_of_row()[~held_out])


def test_the_age_of_a_pair_is_that_of_its_latest_event_that_stands():
    matrix = matrix_from(
        events_table(
            [("u", "x", "view", None), ("u", "x", "rating", 4.0), ("u", "y", "view", None), ("v", "y", "remove", None)]
        )
    )

    rows = feature_rows(matrix, np.zeros(2, dtype=bool))

    np.testing.assert_allclose(rows.age_days * 86_400, [1.0, 0.0])


def test_categories_come_most_frequent_first():
    rows = feature_rows(random_matrix(), np.zeros(len(random_matrix().observations.item), dtype=bool))

    assert rows.category_names == ("Drama", "Comedy")
    assert rows.is_of_category[:, 0].all()
    assert 0 < rows.is_of_category[:, 1].sum() < rows.n_items
