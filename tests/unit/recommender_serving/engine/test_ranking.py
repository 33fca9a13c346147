import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender_serving.engine.ranking import popular_items, top_n

NONE = np.empty(0, dtype=np.int64)


def brute_force(scores: list[float], n: int, excluded: list[int]) -> list[int]:
    eligible = [index for index in range(len(scores)) if index not in excluded]
    return sorted(eligible, key=lambda index: (-scores[index], index))[:n]


@given(st.lists(st.integers(-3, 3) | st.floats(-1, 1, width=32), max_size=30), st.integers(0, 12), st.data())
def test_the_best_are_those_of_a_full_sort(scores: list[float], n: int, data: st.DataObject) -> None:
    places = st.integers(0, max(len(scores) - 1, 0))
    excluded = data.draw(st.lists(places, max_size=40)) if scores else []
    best = top_n(np.array(scores, dtype=np.float32), n, np.array(excluded, dtype=np.int32))
    assert best.tolist() == brute_force(scores, n, excluded)
    assert best.dtype == np.int64


def test_scores_are_left_as_they_are() -> None:
    scores: NDArray[np.float64] = np.array([1.0, 3.0, 2.0])
    scores.flags.writeable = False
    assert top_n(scores, 2, np.array([1])).tolist() == [2, 0]


def test_everything_may_be_excluded() -> None:
    assert top_n(np.ones(3), 2, np.array([2, 1, 0])).tolist() == []


def test_popular_items_with_equal_counts_come_in_order() -> None:
    assert popular_items(np.array([2, 5, 2, 0, 5], dtype=np.float32), 4, NONE).tolist() == [1, 4, 0, 2]
