import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.metrics.coverage import catalogue_coverage, user_coverage

LISTS = st.lists(st.lists(st.integers(-1, 6), min_size=3, max_size=3), min_size=1, max_size=5)


@given(LISTS)
def test_catalogue_coverage_counts_distinct_listed_items(lists):
    distinct = {item for row in lists for item in row if item >= 0}

    assert catalogue_coverage(np.array(lists), 7) == len(distinct) / 7


def test_user_coverage_wants_a_full_list_from_the_users_own_history():
    lists = np.array([[1, 2], [3, -1], [1, 2], [0, 4]])

    assert user_coverage(lists, np.array([True, True, False, True])).tolist() == [1, 0, 0, 1]


def test_empty_lists_reach_nothing():
    lists = np.full((2, 3), -1)

    assert catalogue_coverage(lists, 4) == 0.0
    assert not user_coverage(lists, np.array([True, True])).any()


def test_the_last_item_is_not_taken_for_the_end_of_a_list():
    assert catalogue_coverage(np.array([[0, -1]]), 2) == 0.5
    assert catalogue_coverage(np.array([[0, 1]]), 2) == 1.0
