import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.metrics.average_precision import average_precision

LISTS = st.lists(st.booleans(), min_size=4, max_size=4)


def naive_average_precision(flags: list[bool], n_relevant: int) -> float:
    if not n_relevant:
        return math.nan
    total = 0.0
    for rank in range(1, len(flags) + 1):
        if flags[rank - 1]:
            total += sum(flags[:rank]) / rank
    return total / min(len(flags), n_relevant)


@given(st.lists(st.tuples(LISTS, st.integers(0, 5)), min_size=1, max_size=6))
def test_equals_the_naive_formula(rows):
    flags = [row for row, _ in rows]
    n_relevant = [sum(row) + unlisted for row, unlisted in rows]
    expected = [naive_average_precision(*pair) for pair in zip(flags, n_relevant, strict=True)]

    np.testing.assert_allclose(average_precision(np.array(flags), np.array(n_relevant)), expected, rtol=1e-12)


def test_a_list_of_only_relevant_items_reaches_one_though_more_are_relevant():
    assert average_precision(np.array([[True, True]]), np.array([9])).tolist() == [1.0]


def test_edges_nothing_listed_nothing_relevant_and_no_user():
    found = average_precision(np.array([[False, False], [False, False], [False, True]]), np.array([3, 0, 1]))

    np.testing.assert_array_equal(found, [0.0, np.nan, 0.5])
    assert average_precision(np.empty((0, 2), dtype=bool), np.empty(0, dtype=np.int64)).shape == (0,)
