from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.factor_model import RankingHead
from recommender_serving.engine.new_item_solution import solve_ranking_item, solve_rating_item
from recommender_serving.engine.user_space import UserSpace, user_space
from tests.factories import make_model

ALGORITHMS = pytest.mark.parametrize("algorithm", ["svd", "nmf"])


@cache
def heads(algorithm: str) -> tuple[RankingHead, UserSpace]:
    model = make_model(algorithm, n_users=200, n_items=30, events_per_user=8)
    return model.ranking, user_space(model)


@ALGORITHMS
@given(st.lists(st.integers(0, 199), min_size=1, max_size=12, unique=True))
def test_its_own_users_score_it_like_what_they_know_the_more_of_them_the_more(algorithm: str, users: list[int]) -> None:
    head, space = heads(algorithm)
    vectors = head.user_factors[users].astype(np.float64)
    item = solve_ranking_item(head, space, vectors, np.ones(len(users)))
    if item.any():
        expected = space.typical_score * len(users) / (len(users) + 1)
        assert (vectors @ item).mean() == pytest.approx(expected, rel=1e-4)
    if algorithm == "nmf":
        assert (item >= 0).all()


@ALGORITHMS
def test_the_direction_is_that_of_the_half_step_against_those_who_passed_it_over(algorithm: str) -> None:
    head, space = heads(algorithm)
    vectors, strengths = head.user_factors[[3, 5, 8]].astype(np.float64), np.array([1.0, 0.2, 0.6])
    item = solve_ranking_item(head, space, vectors, strengths)

    def loss(y: np.ndarray) -> float:  # type: ignore[type-arg]
        exposure = min(3 * 30 / 200, 1)
        passed_over = head.unobserved_weight * exposure * float(((head.user_factors @ y) ** 2).sum())
        return float((strengths * (1 - vectors @ y) ** 2).sum()) + passed_over + head.regularization * float(y @ y)

    best = min((loss(item * length), length) for length in np.linspace(0.05, 20, 4_000))[1] * item.astype(np.float64)
    for step in np.random.default_rng(0).normal(scale=1e-2, size=(200, len(item))):
        moved = np.maximum(best + step, 0) if algorithm == "nmf" else best + step
        assert loss(moved) >= loss(best) - 1e-5


def test_users_without_a_direction_give_none() -> None:
    head, space = heads("svd")
    assert not solve_ranking_item(head, space, np.zeros((2, 4)), np.ones(2)).any()
    assert not solve_ranking_item(head, space._replace(typical_score=0.0), np.ones((1, 4)), np.ones(1)).any()


@ALGORITHMS
@given(st.integers(0, 6), st.integers(0, 100))
def test_stars_are_fitted_like_a_users_with_the_roles_exchanged(algorithm: str, m: int, seed: int) -> None:
    head = make_model(algorithm, n_users=20, n_items=30).rating
    random = np.random.default_rng(seed)
    users = head.user_factors[random.integers(0, 20, m)]
    biases, stars = random.normal(size=m), random.uniform(0.5, 5, m)
    factors, bias = solve_rating_item(head, users, biases, stars)
    prior = head.item_factors.mean(axis=0) if head.non_negative else np.zeros(4)

    def loss(q: np.ndarray, b: float) -> float:  # type: ignore[type-arg]
        errors = stars - head.global_mean - biases - b - users @ q
        return float(
            (errors**2).sum() + head.regularization * ((q - prior) ** 2).sum() + head.bias_regularization * b**2
        )

    for step in random.normal(scale=1e-2, size=(50, 5)):
        moved = np.maximum(factors + step[:4], 0) if head.non_negative else factors + step[:4]
        assert loss(moved, bias + step[4] * head.has_user_bias) >= loss(factors, bias) - 1e-5
    if not m:
        np.testing.assert_allclose(factors, prior, atol=1e-6)
        assert bias == 0
