import numpy as np

from recommender_assets.evaluation.metrics.hit_rate import hit_rate


def test_one_relevant_item_anywhere_is_a_hit_and_users_without_any_do_not_count():
    flags = np.array([[False, False, True], [False, False, False], [False, False, False]])

    np.testing.assert_array_equal(hit_rate(flags, np.array([4, 2, 0])), [1.0, 0.0, np.nan])


def test_a_hit_counts_once_and_a_miss_is_zero():
    found = hit_rate(np.array([[True, True, True], [False, False, False]]), np.array([3, 1]))

    assert found.tolist() == [1.0, 0.0]
