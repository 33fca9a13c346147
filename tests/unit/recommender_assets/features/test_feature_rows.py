import numpy as np
import pyarrow as pa

from recommender_assets.features.feature_rows import feature_rows
from recommender_assets.features.item_features import item_features
from recommender_assets.features.user_features import user_features
from recommender_assets.ingestion.schemas import SCHEMAS
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


def test_only_the_twenty_most_frequent_categories_are_kept_and_ties_go_by_name():
    names = [f"c{number:02}" for number in range(24)]
    items = pa.Table.from_pylist(
        [
            {"item_id": f"i{i}", "title": None, "categories": names[3:] if i else [*names, "c05"], "year": None}
            for i in range(2)
        ],
        schema=SCHEMAS["items"],
    )
    matrix = matrix_from(events_table([("u", "i0", "view", None), ("u", "i1", "view", None)]), items)

    rows = feature_rows(matrix, np.zeros(2, dtype=bool))

    assert rows.category_names == ("c05", *[name for name in names[3:] if name != "c05"][:19])
    assert rows.is_of_category.shape == (2, 20)
    assert rows.is_of_category.max() == 1


def test_an_item_outside_the_catalogue_is_of_no_category():
    items = pa.Table.from_pylist(
        [{"item_id": "a", "title": "A", "categories": ["War"], "year": 1980}], schema=SCHEMAS["items"]
    )

    matrix = matrix_from(events_table([("u", "a", "rating", 1.0), ("u", "b", "rating", 2.0)]), items)
    rows = feature_rows(matrix, np.zeros(2, dtype=bool))

    assert rows.is_of_category.tolist() == [[1.0], [0.0]]
    assert rows.year.tolist() == [1980, 0]


def test_rated_rows_are_those_with_a_rating_and_ages_run_from_the_latest_event_of_all():
    events = [("u", "x", "rating", 4.0), ("u", "y", "view", None), ("v", "x", "click", None), ("v", "z", "rating", 1.0)]
    matrix = matrix_from(events_table(events))

    rows = feature_rows(matrix, np.array([False, False, False, True]))

    assert rows.rated.tolist() == [0]
    np.testing.assert_allclose(rows.age_days * 86_400, [3.0, 2.0, 1.0])
    assert (rows.lowest, rows.highest) == (matrix.scale.min, matrix.scale.max)


def test_everything_held_out_leaves_no_row_but_all_users_and_items():
    matrix = random_matrix()

    rows = feature_rows(matrix, np.ones(len(matrix.observations.item), dtype=bool))

    assert (len(rows.user), len(rows.rated)) == (0, 0)
    assert (rows.n_users, rows.n_items) == (matrix.n_users, matrix.n_items)
    for table in (user_features(rows), item_features(rows)):
        assert np.isfinite(table.values).all()
