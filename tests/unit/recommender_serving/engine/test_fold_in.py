from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating, user_system
from recommender_serving.engine.history import observe
from tests.factories import make_model

NONE = np.empty(0, dtype=np.int32)
seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(0, 30), st.integers(1, 12), st.integers(0, 1))
def test_it_is_dense_least_squares(seed: int, m: int, k: int, with_gram: int) -> None:
    random = np.random.default_rng(seed)
    factors, targets, weights = random.normal(size=(m, k)), random.normal(size=m), random.random(m)
    penalty, prior = random.random(k) + 0.1, random.normal(size=k)
    catalogue = random.normal(size=(2 * k, k)) * with_gram
    x = user_system(
        factors, targets, weights, penalty, prior, gram=catalogue.T @ catalogue, non_negative=False
    ).solution()
    rows = np.vstack([np.sqrt(weights)[:, None] * factors, catalogue, np.diag(np.sqrt(penalty))])
    right = np.concatenate([np.sqrt(weights) * targets, np.zeros(2 * k), np.sqrt(penalty) * prior])
    assert x == pytest.approx(np.linalg.lstsq(rows, right)[0], abs=1e-8)


@given(seeds, st.integers(0, 12))
def test_the_gradient_of_the_rating_loss_is_zero(seed: int, m: int) -> None:
    head = make_model("svd").rating
    random = np.random.default_rng(seed)
    items, ratings = random.choice(12, m, replace=False), random.integers(1, 11, m) / 2
    x, bias = fold_in_rating(head, items, ratings)
    y = head.item_factors[items].astype(np.float64)
    error = head.global_mean + bias + head.item_bias[items].astype(np.float64) + y @ x - ratings
    implicit = head.implicit_factors[items].astype(np.float64).sum(axis=0) / np.sqrt(max(m, 1))
    assert y.T @ error + head.regularization * (x - head.prior - implicit) == pytest.approx(np.zeros(len(x)), abs=1e-9)
    assert error.sum() + head.bias_regularization * bias == pytest.approx(0.0, abs=1e-9)


@given(seeds, st.integers(0, 12), st.sampled_from(["svd", "nmf"]))
def test_the_gradient_of_the_ranking_loss_is_zero_where_it_may_be(seed: int, m: int, algorithm: str) -> None:
    head = make_model(algorithm).ranking
    random = np.random.default_rng(seed)
    items, strengths = random.choice(12, m, replace=False), random.random(m) + 0.1
    x = fold_in_ranking(head, items, strengths)
    y = head.item_factors.astype(np.float64)
    observed = y[items].T @ (strengths * (y[items] @ x - 1.0))
    gradient = observed + head.unobserved_weight * (y.T @ (y @ x)) + head.regularization * (x - head.prior)
    free = x > 0 if head.non_negative else np.ones(len(x), dtype=bool)
    assert gradient[free] == pytest.approx(np.zeros(free.sum()), abs=1e-9)
    assert np.all(gradient[~free] >= -1e-9)
    assert np.all(x[~free] == 0)


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_user_without_ratings_is_the_prior(algorithm: str) -> None:
    head = make_model(algorithm).rating
    x, bias = fold_in_rating(head, NONE, np.empty(0, dtype=np.float32))
    assert x == pytest.approx(head.prior)
    assert bias == 0.0


def test_items_without_a_rating_count_in_the_implicit_term_alone() -> None:
    head = make_model("svd").rating
    ratings = np.full(3, np.nan)
    x, bias = fold_in_rating(head, np.array([1, 4, 7]), ratings)
    assert x == pytest.approx(head.implicit_factors[[1, 4, 7]].astype(np.float64).sum(axis=0) / np.sqrt(3))
    assert bias == 0.0


def test_a_head_without_implicit_factors_ignores_items_without_a_rating() -> None:
    head = replace(make_model("svd").rating, implicit_factors=np.empty((0, 4), dtype=np.float32))
    x, bias = fold_in_rating(head, np.array([0, 3, 5]), np.array([5.0, np.nan, 1.0]))
    expected, expected_bias = fold_in_rating(head, np.array([0, 5]), np.array([5.0, 1.0]))
    assert x.tolist() == expected.tolist()
    assert bias == expected_bias


@given(st.permutations(range(8)))
def test_the_order_of_events_does_not_matter_to_the_implicit_term(order: list[int]) -> None:
    head = make_model("svd").rating
    items = np.arange(8)
    ratings = np.where(items % 3 > 0, (items + 1) / 2, np.nan)
    assert fold_in_rating(head, items[order], ratings[order])[0] == pytest.approx(
        fold_in_rating(head, items, ratings)[0], abs=1e-10
    )


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_user_without_observations_dislikes_all_items_a_little(algorithm: str) -> None:
    head = make_model(algorithm).ranking
    assert fold_in_ranking(head, NONE, np.empty(0)) == pytest.approx(np.zeros(4), abs=1e-12)


def test_a_head_without_user_biases_returns_none() -> None:
    head = make_model("nmf").rating
    x, bias = fold_in_rating(head, np.array([0, 3]), np.array([5.0, 1.0]))
    assert bias == 0.0
    assert np.all(x >= 0)


@given(st.permutations(range(8)))
def test_the_order_of_events_does_not_matter(order: list[int]) -> None:
    head = make_model("nmf").rating
    items, ratings = np.arange(8), np.arange(1, 9) / 2
    assert fold_in_rating(head, items[order], ratings[order])[0] == pytest.approx(
        fold_in_rating(head, items, ratings)[0], abs=1e-10
    )


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_folded_in_user_equals_the_stored_one(algorithm: str) -> None:
    model = make_model(algorithm)
    observations = observe(model.history, EventWeights(), RatingScale())
    for user in range(model.n_users):
        rows = observations.rows_of(user)
        x = fold_in_ranking(model.ranking, observations.item[rows], observations.strength[rows])
        assert x == pytest.approx(model.ranking.user_factors[user], abs=1e-6)
        x, bias = fold_in_rating(model.rating, observations.item[rows], observations.rating[rows])
        assert x == pytest.approx(model.rating.user_factors[user], abs=1e-5)
        assert bias == pytest.approx(model.rating.user_bias[user], abs=1e-5)
