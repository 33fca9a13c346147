"""Recall, reciprocal rank, novelty, Gini: against loops and known values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.metrics.gini import gini
from recommender_assets.evaluation.metrics.mae import absolute_errors
from recommender_assets.evaluation.metrics.novelty import novelty
from recommender_assets.evaluation.metrics.recall import recall
from recommender_assets.evaluation.metrics.reciprocal_rank import reciprocal_rank

HITS = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5)


@given(HITS, st.integers(0, 9))
def test_recall_and_reciprocal_rank_equal_a_loop(hits, unlisted):
    n_relevant = np.array([sum(row) + unlisted for row in hits])

    found = recall(np.array(hits), n_relevant), reciprocal_rank(np.array(hits), n_relevant)

    for row, relevant, *values in zip(hits, n_relevant, *found, strict=True):
        first = 1 / (row.index(True) + 1) if any(row) else 0.0
        expected = (sum(row) / relevant, first) if relevant else (math.nan, math.nan)
        assert tuple(values) == pytest.approx(expected, nan_ok=True)


def test_novelty_is_the_mean_surprise_in_bits():
    lists = np.array([[0, 1], [2, -1], [-1, -1]])

    found = novelty(lists, np.array([8, 2, 0]), n_users=8)

    assert found.tolist() == pytest.approx([(0 + 2) / 2, 3, math.nan], nan_ok=True)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(6, 12))
def test_gini_equals_the_mean_difference_of_all_pairs(listed, n_items):
    counts = np.bincount(listed, minlength=n_items)

    expected = np.abs(counts[:, None] - counts[None]).sum() / (2 * n_items * counts.sum())

    assert gini(np.array([listed]), n_items) == pytest.approx(expected)


def test_gini_of_equal_shares_one_taker_and_nothing():
    assert gini(np.array([[0, 1], [2, 3]]), 4) == 0.0
    assert gini(np.array([[2], [2]]), 4) == pytest.approx(0.75)
    assert math.isnan(gini(np.array([[-1]]), 4))


def test_absolute_errors_have_no_sign():
    assert absolute_errors(np.array([1.0, 4.0]), np.array([2.5, 3.0], dtype=np.float32)).tolist() == [1.5, 1.0]
