"""Evaluation of one model on a hold-out: every figure with its protocol and its floors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.floors import floors
from recommender_assets.evaluation.model_scores import model_scores
from recommender_assets.evaluation.protocols import PROTOCOLS, catalogue_metrics, rating_metrics, rerank_metrics
from recommender_assets.features.matrix import UserItemMatrix
from recommender_serving.engine.factor_model import FactorModel


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model.

    Attributes:
        metrics: by the names of `protocols.PROTOCOLS`; NaN where no user qualifies.
        floors: metric -> floor -> value.
        protocols: metric -> what it means.
    """

    metrics: dict[str, float]
    floors: dict[str, dict[str, float]]
    protocols: dict[str, str]


def evaluate(model: FactorModel, matrix: UserItemMatrix, held_out: NDArray[np.bool_]) -> Evaluation:
    """Measure a model on held-out pairs; its users are solved again from the other pairs, so nothing leaks.

    Args:
        model: whose item factors never saw the held-out pairs; may be older than the matrix.
        matrix: users, items and observations to measure with.
        held_out: (n,) true for the observations of the hold-out.
    """
    training, test = matrix.observations.select(~held_out), matrix.observations.select(held_out)
    scores = model_scores(model, matrix, training)
    return Evaluation(
        metrics={
            **rating_metrics(scores.predicted_ratings, test),
            **rerank_metrics(scores.predicted_ratings, test),
            **catalogue_metrics(scores.catalogue_scores, training, test, matrix.n_items),
        },
        floors=floors(training, test, matrix.n_items),
        protocols=PROTOCOLS,
    )
