import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.training.rows import Rows, rating_rows, strength_rows
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


@given(st.lists(st.lists(st.integers(0, 5), unique=True, max_size=6), min_size=1, max_size=5))
def test_transposed_rows_equal_a_loop(columns):
    entries = [(row, column) for row, of_row in enumerate(columns) for column in sorted(of_row)]
    rows = Rows(
        np.concatenate([[0], np.cumsum([len(of_row) for of_row in columns])]),
        np.array([column for _, column in entries], dtype=np.int32),
        np.arange(len(entries), dtype=np.float32),
        np.arange(len(entries), dtype=np.float32) + 0.5,
    )

    found = rows.transposed(7)  # column 6 has no entry

    expected = sorted((column, row, float(n)) for n, (row, column) in enumerate(entries))
    of_entry = found.row_of_entry().tolist()
    assert list(zip(of_entry, found.column.tolist(), found.target.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(found.weight, found.target + 0.5)
    assert (found.n_rows, rows.n_rows) == (7, len(columns))
    assert (found.indptr.dtype, found.column.dtype) == (np.int64, np.int32)


def test_views_alone_make_no_rating_rows():
    observations = matrix_from(events_table([("a", "x", "view", None), ("b", "y", "click", None)])).observations

    ratings = rating_rows(observations)

    assert ratings.indptr.tolist() == [0, 0, 0]
    assert len(ratings.column) == len(ratings.weight) == 0
