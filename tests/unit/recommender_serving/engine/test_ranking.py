import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender_serving.engine.ranking import popular_items, popularity_discount, top_n

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


def users_and_items(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    users = random.normal(loc=0.3, size=(50, 4)).astype(np.float32)
    items = (random.normal(size=(30, 4)) * random.uniform(0.01, 1.0, (30, 1))).astype(np.float32)
    return users, items


def test_no_discount_changes_nothing() -> None:
    assert popularity_discount(*users_and_items(), 0.0).tolist() == [1.0] * 30


@given(st.integers(0, 1000))
def test_a_full_discount_makes_the_scores_of_all_items_equally_different(seed: int) -> None:
    users, items = users_and_items(seed)
    scores = users @ items.T * popularity_discount(users, items, 1.0)
    assert scores.std(axis=0) == pytest.approx(np.ones(30), rel=1e-4)


@given(st.integers(0, 1000), st.floats(0.05, 1.0))
def test_a_discount_is_a_power_of_the_deviation(seed: int, strength: float) -> None:
    users, items = users_and_items(seed)
    expected = (users.astype(np.float64) @ items.T.astype(np.float64)).std(axis=0) ** -strength
    assert popularity_discount(users, items, strength) == pytest.approx(expected, rel=1e-4)


def test_blocks_do_not_matter_to_the_discount(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = popularity_discount(*users_and_items(), 0.8)
    monkeypatch.setattr("recommender_serving.engine.ranking._BLOCK_ROWS", 7)
    assert popularity_discount(*users_and_items(), 0.8) == pytest.approx(whole, rel=1e-6)


def test_items_that_do_not_differ_and_models_without_users_are_left_alone() -> None:
    users, items = users_and_items()
    items[3] = 0.0
    discount = popularity_discount(users, items, 0.9)
    assert discount[3] == 1.0
    assert (discount[np.arange(30) != 3] > 1.0).any()
    assert popularity_discount(users[:0], items, 0.9).tolist() == [1.0] * 30
    assert popularity_discount(users[:1], items, 0.9).tolist() == [1.0] * 30
    assert popularity_discount(users, items[:0], 0.9).shape == (0,)
