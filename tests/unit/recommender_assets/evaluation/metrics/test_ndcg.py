import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.metrics.ndcg import ndcg

GAINS = st.lists(st.floats(0.0, 31.0, allow_subnormal=False), min_size=5, max_size=5)


def naive_ndcg(gains: list[float]) -> float:
    def dcg(values: list[float]) -> float:
        return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(values))

    ideal = dcg(sorted(gains, reverse=True))
    return dcg(gains) / ideal if ideal > 0 else math.nan


@given(st.lists(GAINS, min_size=1, max_size=6))
def test_equals_the_naive_formula(rows):
    gains = np.array(rows)
    expected = [naive_ndcg(row) for row in rows]

    np.testing.assert_allclose(ndcg(gains, -np.sort(-gains, axis=1)), expected, rtol=1e-12)


def test_known_value():
    # One relevant item at rank 2: 1 / log2(3).
    found = ndcg(np.array([[0.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]]))

    np.testing.assert_allclose(found, [0.6309297535714575])


def test_the_ideal_order_reaches_one_and_swapping_to_a_worse_one_costs():
    ideal = np.array([[7.0, 3.0, 1.0, 0.0]])

    assert ndcg(ideal, ideal).tolist() == [1.0]
    worse = [ndcg(ideal[:, order], ideal)[0] for order in ([1, 0, 2, 3], [2, 1, 0, 3], [3, 2, 1, 0])]
    assert 1.0 > worse[0] > worse[1] > worse[2] > 0.0


def test_nothing_to_gain_is_undefined_and_nothing_gained_is_zero():
    found = ndcg(np.zeros((2, 3)), np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))

    np.testing.assert_array_equal(found, [np.nan, 0.0])
