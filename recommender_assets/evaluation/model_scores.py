"""Scores of a model for the users and items of a matrix, which may know more items than the model does."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.protocols import BlockScores, PairScores
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.vocabulary import positions_in
from recommender_assets.training.user_step import solve_ranking_users, solve_rating_users
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.factor_model import FactorModel, RankingHead, RatingHead
from recommender_serving.engine.history import Observations


@dataclass(frozen=True, eq=False)
class ModelScores:
    """What the protocols need of a model.

    Attributes:
        predicted_ratings: stars, clipped to the scale; an item the model does not know gets the user's mean level.
        catalogue_scores: ranking scores; an item the model does not know can not be listed.
    """

    predicted_ratings: PairScores
    catalogue_scores: BlockScores


def model_scores(model: FactorModel, matrix: UserItemMatrix, training: Observations) -> ModelScores:
    """Solve the matrix's users from `training` alone, with the item factors of the model, and score with them."""
    position = positions_in(model.item_ids, matrix.item_ids)
    known = training.select(position[training.item] >= 0)
    known = Observations(known.indptr, position[known.item].astype(np.int32), known.rating, known.strength)
    return ModelScores(
        predicted_ratings=_predicted_ratings(model.rating, known, position, matrix.scale),
        catalogue_scores=_catalogue_scores(model.ranking, known, position),
    )


def _predicted_ratings(
    head: RatingHead, training: Observations, position: NDArray[np.int64], scale: RatingScale
) -> PairScores:
    user_factors, user_bias = solve_rating_users(head, training)
    # Appended for position -1: the mean item of a head without biases, an item without any of its own otherwise.
    unknown = np.zeros((1, head.item_factors.shape[1]), dtype=np.float32)
    if not head.has_user_bias:
        unknown[0] = head.item_factors.mean(axis=0)
    item_factors = np.concatenate([head.item_factors, unknown])
    item_bias = np.append(head.item_bias, np.float32(0.0))

    def predict(user: NDArray[np.int32], item: NDArray[np.int32]) -> NDArray[np.floating]:
        place = position[item]
        product = np.einsum("nf,nf->n", user_factors[user], item_factors[place])
        stars = head.global_mean + user_bias[user] + item_bias[place] + product
        return np.asarray(np.clip(stars, scale.min, scale.max))

    return predict


def _catalogue_scores(
    head: RankingHead, training: Observations, position: NDArray[np.int64]
) -> Callable[[slice], NDArray[np.float32]]:
    user_factors = solve_ranking_users(head, training)
    item_factors = head.item_factors[position]
    is_unknown = position < 0

    def score(users: slice) -> NDArray[np.float32]:
        scores = user_factors[users] @ item_factors.T
        scores[:, is_unknown] = -np.inf
        return scores

    return score
