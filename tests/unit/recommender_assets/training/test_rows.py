import numpy as np

from recommender_assets.training.rows import rating_rows, strength_rows
from tests.matrices import events_table, matrix_from, random_matrix


def test_views_count_for_the_ranking_head_alone():
    rows = [("a", "x", "rating", 5.0), ("a", "y", "view", None), ("b", "y", "rating", 0.5)]
    observations = matrix_from(events_table(rows)).observations

    ratings, strengths = rating_rows(observations), strength_rows(observations)

    assert (ratings.indptr.tolist(), ratings.column.tolist(), ratings.target.tolist()) == (
        [0, 1, 2],
        [0, 1],
        [5.0, 0.5],
    )
    assert strengths.indptr.tolist() == [0, 2, 3]
    np.testing.assert_allclose(strengths.weight, [1.0, 0.1, 0.2])
    assert (strengths.target == 1).all()


def test_transposing_twice_gives_the_same_rows():
    matrix = random_matrix()
    rows = rating_rows(matrix.observations)

    by_item = rows.transposed(matrix.n_items)
    again = by_item.transposed(matrix.n_users)

    dense = np.zeros((matrix.n_users, matrix.n_items))
    dense[rows.row_of_entry(), rows.column] = rows.target
    transposed = np.zeros((matrix.n_items, matrix.n_users))
    transposed[by_item.row_of_entry(), by_item.column] = by_item.target
    np.testing.assert_array_equal(transposed, dense.T)
    for name in ("indptr", "column", "target", "weight"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))
