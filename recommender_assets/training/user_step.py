"""All users of a head at once: the compiled twin of `engine/fold_in.py`, equal to it within 1e-6."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.implicit_term import implicit_terms
from recommender_assets.training.rows import Rows, rating_rows, strength_rows
from recommender_serving.engine.factor_model import RankingHead, RatingHead
from recommender_serving.engine.history import Observations


def solve_rating_users(head: RatingHead, observations: Observations) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors (n_users, k) and biases (n_users,) of the users of `observations`; rows without a rating do not count.

    A user without any rating gets the prior (with the implicit term, if the head has one) and no bias.
    """
    rated = rating_rows(observations)
    k = head.item_factors.shape[1]
    factors = np.ones((len(head.item_factors), k + head.has_user_bias), dtype=np.float32)
    factors[:, :k] = head.item_factors
    target = rated.target - np.float32(head.global_mean) - head.item_bias[rated.column]
    penalty = np.full(factors.shape[1], float(head.regularization))
    prior = np.zeros((observations.n_users if len(head.implicit_factors) else 1, factors.shape[1]))
    prior[:, :k] = head.prior
    if len(head.implicit_factors):
        prior[:, :k] += implicit_terms(head.implicit_factors, observations)
    if head.has_user_bias:
        penalty[k] = head.bias_regularization
    rows = Rows(rated.indptr, rated.column, target, rated.weight)
    solution = solve_rows(rows, factors, penalty, prior, non_negative=head.non_negative).astype(np.float32)
    bias = solution[:, k] if head.has_user_bias else np.zeros(len(solution), dtype=np.float32)
    return np.ascontiguousarray(solution[:, :k]), np.ascontiguousarray(bias)


def solve_ranking_users(head: RankingHead, observations: Observations) -> NDArray[np.float32]:
    """Factors (n_users, k) of the users of `observations`."""
    k = head.item_factors.shape[1]
    return solve_rows(
        strength_rows(observations),
        head.item_factors,
        np.full(k, float(head.regularization)),
        head.prior.astype(np.float64),
        gram=head.gram,
        non_negative=head.non_negative,
    ).astype(np.float32)
