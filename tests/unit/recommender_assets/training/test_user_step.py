from dataclasses import replace

import numpy as np
import pytest

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.heads import fit_heads
from recommender_assets.training.user_step import solve_ranking_users, solve_rating_users
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from tests.matrices import movielens_matrix

HYPER_PARAMETERS = (
    SvdSettings(factors=20, epochs=3, ranking_iterations=2),
    NmfSettings(factors=20, iterations=3, ranking_iterations=2),
)


@pytest.fixture(scope="module", params=HYPER_PARAMETERS, ids=["svd", "nmf"])
def heads(request):
    matrix = movielens_matrix()
    return fit_heads(matrix.observations, matrix.n_items, request.param, seed=0)


def test_users_of_the_rating_head_equal_the_service(heads):
    observations = movielens_matrix().observations

    factors, bias = solve_rating_users(heads.rating, observations)

    for user in range(0, observations.n_users, 97):
        rows = observations.rows_of(user)
        x, b = fold_in_rating(heads.rating, observations.item[rows], observations.rating[rows])
        np.testing.assert_allclose(factors[user], x, atol=1e-6)
        assert bias[user] == pytest.approx(b, abs=1e-6)


def with_implicit_term(head):
    random = np.random.default_rng(0)
    return replace(head, implicit_factors=random.normal(scale=0.1, size=head.item_factors.shape).astype(np.float32))


@pytest.mark.parametrize("share_unrated", [0.0, 0.3])
def test_users_with_an_implicit_term_equal_the_service(heads, share_unrated):
    if heads.rating.non_negative:
        pytest.skip("only svd has the term")
    observations = movielens_matrix().observations
    unrated = np.random.default_rng(1).random(len(observations.item)) < share_unrated
    ratings = np.where(unrated, np.float32(np.nan), observations.rating)
    observations = replace(observations, rating=ratings)
    head = with_implicit_term(heads.rating)

    factors, bias = solve_rating_users(head, observations)

    for user in range(0, observations.n_users, 97):
        rows = observations.rows_of(user)
        x, b = fold_in_rating(head, observations.item[rows], ratings[rows])
        np.testing.assert_allclose(factors[user], x, atol=1e-5)
        assert bias[user] == pytest.approx(b, abs=1e-5)


def test_a_user_who_only_looked_is_drawn_to_the_implicit_term(heads):
    if heads.rating.non_negative:
        pytest.skip("only svd has the term")
    observations = movielens_matrix().observations
    observations = replace(observations, rating=np.full(len(observations.item), np.nan, dtype=np.float32))
    head = with_implicit_term(heads.rating)

    factors, bias = solve_rating_users(head, observations)

    items = observations.item[observations.rows_of(5)]
    expected = head.prior + head.implicit_factors[items].sum(axis=0) / np.sqrt(len(items))
    np.testing.assert_allclose(factors[5], expected, atol=1e-5)
    assert not bias.any()


def test_users_of_the_ranking_head_equal_the_service(heads):
    observations = movielens_matrix().observations

    factors = solve_ranking_users(heads.ranking, observations)

    for user in range(0, observations.n_users, 97):
        rows = observations.rows_of(user)
        x = fold_in_ranking(heads.ranking, observations.item[rows], observations.strength[rows])
        np.testing.assert_allclose(factors[user], x, atol=1e-6)


def test_a_user_without_ratings_gets_the_prior(heads):
    nothing = movielens_matrix().observations.select(np.zeros(100_004, dtype=bool))

    factors, bias = solve_rating_users(heads.rating, nothing)

    np.testing.assert_allclose(factors, np.tile(heads.rating.prior, (671, 1)), atol=1e-6)
    assert not bias.any()
