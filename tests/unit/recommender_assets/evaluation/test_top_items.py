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
