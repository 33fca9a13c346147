"""Scores of a model for the users and items of a matrix, which may know more items than the model does."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.scores import BlockScores, PairScores, Scores
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.vocabulary import positions_in
from recommender_assets.training.user_step import solve_ranking_users, solve_rating_users
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.factor_model import FactorModel, RankingHead, RatingHead
from recommender_serving.engine.history import Observations


def model_scores(model: FactorModel, matrix: UserItemMatrix, training: Observations) -> Scores:
    """Solve the matrix's users from `training` alone, with the item factors of the model, and score with them."""
    return head_scores(
        model.rating, model.ranking, training, positions_in(model.item_ids, matrix.item_ids), matrix.scale
    )


def head_scores(
    rating: RatingHead,
    ranking: RankingHead,
    training: Observations,
    position: NDArray[np.integer],
    scale: RatingScale,
) -> Scores:
    """Scores of two heads whose users are solved from `training`.

    An item the heads do not know gets the user's mean level as its stars and cannot be listed. Stars are clipped to the
    scale. A user without a known item gets the popular items, as from the service.

    Args:
        rating: head that predicts stars.
        ranking: head that orders the catalogue.
        training: what the users are known by.
        position: (n_items,) index in the heads of every item of `training`'s catalogue, -1 if unknown.
        scale: of the ratings.
    """
    known = training.select(position[training.item] >= 0)
    known = Observations(known.indptr, position[known.item].astype(np.int32), known.rating, known.strength)
    return Scores(
        predicted_ratings=predicted_ratings(rating, known, position, scale),
        catalogue_scores=catalogue_scores(ranking, known, position),
    )


def predicted_ratings(
    head: RatingHead, training: Observations, position: NDArray[np.integer], scale: RatingScale
) -> PairScores:
    """Stars of pairs, the users solved from `training`; arguments as in `head_scores`."""
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


def catalogue_scores(head: RankingHead, training: Observations, position: NDArray[np.integer]) -> BlockScores:
    """Scores of the whole catalogue, the users solved from `training`; arguments as in `head_scores`."""
    user_factors = solve_ranking_users(head, training)
    popularity = np.bincount(training.item, minlength=len(head.item_factors)).astype(np.float32)
    item_factors, popularity = head.item_factors[position], popularity[position]
    is_unknown, is_new_user = position < 0, np.diff(training.indptr) == 0

    def score(users: slice) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = user_factors[users] @ item_factors.T
        scores[is_new_user[users]] = popularity
        scores[:, is_unknown] = -np.inf
        return scores

    return score
