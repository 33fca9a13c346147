"""The error of a rating head on held-out ratings, its users solved from the training rows."""

import numpy as np

from recommender_assets.evaluation.metrics.rmse import rmse
from recommender_assets.evaluation.model_scores import predicted_ratings
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.training.rows import Rows
from recommender_serving.engine.factor_model import RatingHead
from recommender_serving.engine.history import Observations


def held_out_rmse(head: RatingHead, training: Observations, test: Rows, matrix: UserItemMatrix) -> float:
    """RMSE on `test`, predictions clipped to the scale of the matrix."""
    predict = predicted_ratings(head, training, np.arange(matrix.n_items), matrix.scale)
    return float(rmse(predict(test.row_of_entry(), test.column), test.target))
