"""Why an item has its score: what every item of the user's past contributes to it, exactly.

A user's vector solves A x = sum_i p_i + a, where p_i is what the observation of item i adds to the right side and a
belongs to the prior. So the product of x with the factors y of a listed item is (A^-1 y).p_i summed over the past, plus
(A^-1 y).a. Of a non-negative solution the equations hold among the factors that are not zero; the others play no part.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import RankingHead, RatingHead
from recommender_serving.engine.fold_in import UserSystem, ranking_system, rating_system


@dataclass(frozen=True, eq=False)
class Terms:
    """Products of a user's vector with the factors of n items, taken apart; `prior` + the sum of `contributions`.

    Attributes:
        prior: (n,) float64, what is there without any observation.
        contributions: (n, m) float64 of the m observed items, in their order.
    """

    prior: NDArray[np.float64]
    contributions: NDArray[np.float64]


def explain_ranking(
    head: RankingHead, items: NDArray[np.integer], strengths: NDArray[np.floating], listed: NDArray[np.floating]
) -> Terms:
    """Take apart the scores of a user observed with `strengths` (m,) at `items` (m,).

    Args:
        head: The ranking head.
        items: (m,) indices.
        strengths: (m,).
        listed: (n, k) factors of the items to explain.
    """
    system = ranking_system(head, items, strengths)
    influence = _influence(system, listed)
    return Terms(influence @ system.anchor, influence @ system.weighted.T * system.targets)


def explain_rating(
    head: RatingHead, items: NDArray[np.integer], ratings: NDArray[np.floating], listed: NDArray[np.floating]
) -> Terms:
    """Take apart the part of predicted ratings that comes from the factors, without means and biases.

    An item adds what its rating does and what its having been observed does (the implicit term).

    Args:
        head: The rating head.
        items: (m,) indices.
        ratings: (m,) NaN where an item was observed without a rating.
        listed: (n, k) factors of the items to explain.
    """
    k = head.item_factors.shape[1]
    system = rating_system(head, items, ratings)
    influence = _influence(system, np.pad(listed, ((0, 0), (0, int(head.has_user_bias)))))
    contributions = np.zeros((len(listed), len(items)))
    contributions[:, ~np.isnan(ratings)] = influence @ system.weighted.T * system.targets
    if len(head.implicit_factors) and len(items):
        implicit = head.implicit_factors[items].astype(np.float64) / np.sqrt(len(items))
        contributions += head.regularization * influence[:, :k] @ implicit.T
    return Terms(head.regularization * influence[:, :k] @ head.prior.astype(np.float64), contributions)


def _influence(system: UserSystem, listed: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, k) A^-1 y for each listed item, among the factors that are free."""
    factors = np.asarray(listed, dtype=np.float64)
    influence = np.zeros_like(factors)
    free = np.ones(len(system.anchor), dtype=bool)
    if system.non_negative:
        free = system.solution() > 0
    influence[:, free] = np.linalg.solve(system.matrix[np.ix_(free, free)], factors[:, free].T).T
    return influence
