import math

import numpy as np
import pytest

from recommender_assets.evaluation.floors import measure_floors
from recommender_assets.evaluation.measures import leave_one_out, lists
from recommender_assets.evaluation.measures.leave_one_out import LEAVE_ONE_OUT
from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import one_row_per_user
from recommender_serving.engine.config import RatingScale
from tests.matrices import random_matrix
from tests.splits import items_of, nothing_at, observations_with, table_scores


@pytest.fixture(scope="module")
def split() -> Split:
    matrix = random_matrix(n_users=20, n_items=160, density=0.2)
    return Split.of(matrix, one_row_per_user(matrix.observations, seed=0))


def test_negatives_are_ninety_nine_distinct_items_that_the_user_never_met(split):
    negatives = leave_one_out._never_met(split)

    assert negatives.shape == (20, 99)
    for user, items in enumerate(negatives.tolist()):
        assert len(set(items)) == 99
        assert not set(items) & (items_of(split.training, user) | items_of(split.test, user))
    counts = np.bincount(negatives.ravel(), minlength=split.n_items)
    assert counts.max() <= 20
    assert (counts > 0).all()


@pytest.mark.parametrize("block", [1, 3, 1_000])
def test_equals_a_loop_over_the_candidates_whatever_the_block(split, block, monkeypatch):
    monkeypatch.setattr(lists, "_BLOCK_SCORES", block * split.n_items)
    scores = np.round(np.random.default_rng(1).random((20, split.n_items)), 1)
    expected = []
    for user, items in enumerate(leave_one_out._never_met(split).tolist()):
        (item,) = items_of(split.test, user)
        ranked = sorted([item, *items], key=lambda i: (-np.float32(scores[user, i]), i))
        rank = ranked.index(item)
        expected.append((rank < 10, 1 / math.log2(rank + 2) if rank < 10 else 0.0))

    found = LEAVE_ONE_OUT.measure(table_scores(scores), split).values

    assert (found["hit_rate_at_10"], found["ndcg_at_10"]) == pytest.approx(tuple(np.mean(expected, axis=0)))
    assert set(found) == set(LEAVE_ONE_OUT.metrics)


def test_chance_hits_one_time_in_ten_and_a_wish_always(split):
    matrix = random_matrix(n_users=400, n_items=160, density=0.1)
    many = Split.of(matrix, one_row_per_user(matrix.observations, seed=0))
    chance = np.random.default_rng(5).random((400, many.n_items))
    wish = np.zeros_like(chance)
    wish[many.test.user_of_row(), many.test.item] = 1.0

    floor = measure_floors(LEAVE_ONE_OUT, many)["random"].values["hit_rate_at_10"]
    assert floor == pytest.approx(0.1, abs=0.045)
    assert LEAVE_ONE_OUT.measure(table_scores(chance), many).values["hit_rate_at_10"] == pytest.approx(0.1, abs=0.045)
    assert LEAVE_ONE_OUT.measure(table_scores(wish), many).values == {"hit_rate_at_10": 1.0, "ndcg_at_10": 1.0}


def test_of_several_held_out_items_one_is_asked_and_the_others_are_no_candidates():
    test = observations_with([(0, 4.0), (1, 4.0), (2, 4.0)], [], [(5, 1.0)])
    split = Split(nothing_at(3), test, 8, RatingScale())
    best = np.zeros((3, 8))
    best[0, :3] = best[2, 5] = 1.0

    found = LEAVE_ONE_OUT.measure(table_scores(best), split)

    assert found.values == {"hit_rate_at_10": 1.0, "ndcg_at_10": 1.0}
    assert found.by_user["ndcg_at_10"].count.tolist() == [1, 0, 1]


def test_fewer_items_than_negatives_are_enough():
    split = Split(nothing_at(1), observations_with([(1, 5.0)]), 3, RatingScale())

    found = LEAVE_ONE_OUT.measure(table_scores(np.array([[3.0, 2.0, 1.0]])), split).values

    assert found["ndcg_at_10"] == pytest.approx(1 / math.log2(3))
