import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recommender_assets.evaluation.top_items import top_items
from recommender_serving.engine.ranking import top_n

# Few distinct values, so that ties are common; both zeros and both infinities are among them.
SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 12)),
    elements=st.sampled_from([-np.inf, -2.5, -0.0, 0.0, 1e-30, 1.0, 7.25, 3e38]),
)


@given(SCORES, st.integers(1, 15))
def test_equals_the_service_list_by_list(scores, n):
    lists = top_items(scores, n)

    for row, found in zip(scores, lists, strict=True):
        expected = top_n(row, n, np.flatnonzero(row == -np.inf))
        assert found.tolist() == expected.tolist() + [-1] * (n - len(expected))


def test_equal_scores_are_listed_by_index():
    assert top_items(np.zeros((1, 50), dtype=np.float32), 5).tolist() == [[0, 1, 2, 3, 4]]


def test_lists_longer_than_the_catalogue_end_early():
    scores = np.array([[1.0, -np.inf, 3.0], [-np.inf, -np.inf, -np.inf]], dtype=np.float32)

    assert top_items(scores, 5).tolist() == [[2, 0, -1, -1, -1], [-1] * 5]


def test_negative_scores_are_ordered_and_the_scores_stay_as_they_are():
    scores = np.array([[-3.0, -1.0, -2.0, -np.float32(1e-38)]], dtype=np.float32)
    before = scores.copy()

    assert top_items(scores, 3).tolist() == [[3, 1, 2]]
    np.testing.assert_array_equal(scores, before)


def test_no_user_has_no_list():
    assert top_items(np.empty((0, 4), dtype=np.float32), 2).shape == (0, 2)
