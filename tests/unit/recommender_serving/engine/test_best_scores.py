import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.best_scores import best


@given(st.lists(st.integers(-3, 3).map(float) | st.just(-np.inf), max_size=40), st.integers(-1, 50))
def test_the_best_are_those_of_a_full_sort(scores: list[float], n: int) -> None:
    eligible = [place for place, score in enumerate(scores) if score > -np.inf]
    expected = sorted(eligible, key=lambda place: (-scores[place], place))[: max(n, 0)]
    assert best(np.array(scores, dtype=np.float32), n).tolist() == expected


@pytest.mark.parametrize("length", [1_023, 1_024, 1_025, 50_000])
@pytest.mark.parametrize("n", [1, 20, 60, 3_000])
def test_groups_of_scores_give_what_a_full_sort_gives(length: int, n: int) -> None:
    scores = np.random.default_rng(length).integers(0, 500, length).astype(np.float32)  # many ties
    scores[::3] = -np.inf
    expected = np.lexsort((np.arange(length), -scores))[:n]
    assert best(scores, n).tolist() == expected[scores[expected] > -np.inf].tolist()


def test_fewer_eligible_groups_than_wanted_lose_nothing() -> None:
    scores = np.full(10_000, -np.inf, dtype=np.float32)
    scores[[9_999, 5]] = [1, 2]
    assert best(scores, 5).tolist() == [5, 9_999]


def test_scores_are_left_as_they_are() -> None:
    scores = np.array([1, 3, 2], dtype=np.float32)
    scores.flags.writeable = False
    assert best(scores, 2).tolist() == [1, 2]
