import numpy as np
import pytest

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.trainer import fit_heads
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
