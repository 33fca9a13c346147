"""A user's vector: the exact solution of a small regularised least-squares problem given the item factors.

Training's last half-step, evaluation and live serving all use these functions, so that a user folded in from events
equals the user of a model trained on the same events.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import RankingHead, RatingHead
from recommender_serving.engine.nnls import solve_nnls


class UserSystem(NamedTuple):
    """The least-squares problem of one user as its normal equations, matrix x = weighted' targets + anchor.

    Attributes:
        matrix: (k, k) float64 symmetric positive definite.
        weighted: (m, k) float64 factors of the observed items times their weights.
        targets: (m,) float64.
        anchor: (k,) float64 penalty times prior.
        non_negative: whether x >= 0 is required.
    """

    matrix: NDArray[np.float64]
    weighted: NDArray[np.float64]
    targets: NDArray[np.float64]
    anchor: NDArray[np.float64]
    non_negative: bool

    def solution(self) -> NDArray[np.float64]:
        """(k,) float64 x."""
        right = self.targets @ self.weighted + self.anchor
        if self.non_negative:
            return solve_nnls(self.matrix, right)
        return np.asarray(np.linalg.solve(self.matrix, right), dtype=np.float64)


def user_system(
    factors: NDArray[np.floating],
    targets: NDArray[np.floating],
    weights: NDArray[np.floating],
    penalty: NDArray[np.floating],
    prior: NDArray[np.floating],
    *,
    gram: NDArray[np.float64] | None,
    non_negative: bool,
) -> UserSystem:
    """Minimise sum_i weights_i (targets_i - x.factors_i)^2 + x' gram x + (x - prior)' diag(penalty) (x - prior).

    Args:
        factors: (m, k) of the observed items; m may be 0.
        targets: (m,).
        weights: (m,) not negative.
        penalty: (k,) greater than 0.
        prior: (k,).
        gram: (k, k) symmetric positive semidefinite, or None for zeros.
        non_negative: whether x >= 0 is required.
    """
    y = np.asarray(factors, dtype=np.float64)
    weighted = y * np.asarray(weights, dtype=np.float64)[:, None]
    matrix = weighted.T @ y
    if gram is not None:
        matrix += gram
    matrix[np.diag_indices_from(matrix)] += penalty
    anchor = np.asarray(penalty, dtype=np.float64) * prior
    return UserSystem(matrix, weighted, np.asarray(targets, dtype=np.float64), anchor, non_negative)


def rating_system(head: RatingHead, items: NDArray[np.integer], ratings: NDArray[np.floating]) -> UserSystem:
    """The problem that `fold_in_rating` solves; with a user bias it has one more factor, the last."""
    k = head.item_factors.shape[1]
    rated = ~np.isnan(ratings)
    items_rated = items[rated]
    factors = np.ones((len(items_rated), k + head.has_user_bias))
    factors[:, :k] = head.item_factors[items_rated]
    targets = np.asarray(ratings[rated], dtype=np.float64) - head.global_mean - head.item_bias[items_rated]
    penalty = np.full(factors.shape[1], head.regularization)
    prior = np.zeros(factors.shape[1])
    prior[:k] = head.prior + _implicit_term(head, items)
    if head.has_user_bias:
        penalty[k] = head.bias_regularization
    weights = np.ones(len(items_rated))
    return user_system(factors, targets, weights, penalty, prior, gram=None, non_negative=head.non_negative)


def fold_in_rating(
    head: RatingHead, items: NDArray[np.integer], ratings: NDArray[np.floating]
) -> tuple[NDArray[np.float64], float]:
    """Vector and bias of a user who gave `ratings` (m,) to `items` (m,); without any item the prior and 0.

    A rating of NaN is an item that the user has observed without rating it: it counts in the implicit term alone.
    A head with user biases solves for the bias together with the vector, as one more factor that is 1 for every
    item, with a penalty of its own and a prior of 0.
    """
    k = head.item_factors.shape[1]
    x = rating_system(head, items, ratings).solution()
    return x[:k], float(x[k]) if head.has_user_bias else 0.0


def _implicit_term(head: RatingHead, items: NDArray[np.integer]) -> NDArray[np.float64]:
    """(k,) |N|^-1/2 sum of the implicit factors of the observed items N."""
    if not len(items) or not len(head.implicit_factors):
        return np.zeros(head.item_factors.shape[1])
    return np.asarray(head.implicit_factors[items].sum(axis=0, dtype=np.float64) / np.sqrt(len(items)))


def ranking_system(head: RankingHead, items: NDArray[np.integer], strengths: NDArray[np.floating]) -> UserSystem:
    """The problem that `fold_in_ranking` solves."""
    return user_system(
        head.item_factors[items],
        np.ones(len(items)),
        strengths,
        np.full(head.item_factors.shape[1], head.regularization),
        head.prior,
        gram=head.gram,
        non_negative=head.non_negative,
    )


def fold_in_ranking(
    head: RankingHead, items: NDArray[np.integer], strengths: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Vector of a user observed with `strengths` (m,) at `items` (m,), and with all items unobserved if m is 0."""
    return ranking_system(head, items, strengths).solution()
