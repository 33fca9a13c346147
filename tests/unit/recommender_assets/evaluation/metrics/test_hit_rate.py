import numpy as np

from recommender_assets.evaluation.metrics.hit_rate import hit_rate


def test_one_relevant_item_anywhere_is_a_hit_and_users_without_any_do_not_count():
    flags = np.array([[False, False, True], [False, False, False], [False, False, False]])

    np.testing.assert_array_equal(hit_rate(flags, np.array([4, 2, 0])), [1.0, 0.0, np.nan])
