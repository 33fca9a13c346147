import math

import numpy as np
import pytest

from recommender_assets.evaluation.protocols import PROTOCOLS
from recommender_assets.evaluation.report import evaluate
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import train
from recommender_serving.engine.history import Observations
from tests.matrices import default_settings, random_matrix

SMALL = default_settings(
    svd=SvdSettings(factors=4, epochs=60, ranking_iterations=4),
    nmf=NmfSettings(factors=4, iterations=10, ranking_iterations=4),
)


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_every_metric_is_measured_explained_and_stands_next_to_its_floors(algorithm):
    matrix = random_matrix(n_users=80, n_items=70)
    held_out = hold_out_mask(matrix, 0.3)

    found = evaluate(train(algorithm, matrix, SMALL).model, matrix, held_out)

    assert set(found.metrics) == set(found.protocols) == set(PROTOCOLS)
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert found.metrics["rmse"] < found.floors["rmse"]["item_mean"]
    assert set(found.floors["catalogue_ndcg_at_10"]) == {"random", "popularity"}


def test_held_out_ratings_and_pairs_leak_into_no_prediction(monkeypatch):
    matrix = random_matrix()
    held_out = hold_out_mask(matrix, 0.3)
    model = train("svd", matrix, SMALL).model
    seen: list[Observations] = []
    from recommender_assets.evaluation import report

    original = report.model_scores
    monkeypatch.setattr(
        report,
        "model_scores",
        lambda model, matrix, training: seen.append(training) or original(model, matrix, training),
    )
    evaluate(model, matrix, held_out)

    (training,) = seen
    pairs = set(zip(training.user_of_row().tolist(), training.item.tolist(), strict=True))
    hidden = matrix.observations.select(held_out)
    assert len(hidden.item)
    assert not pairs & set(zip(hidden.user_of_row().tolist(), hidden.item.tolist(), strict=True))


def test_shipped_users_who_know_the_hold_out_do_not_help_the_evaluation():
    matrix = random_matrix(n_users=80, n_items=70)
    held_out = hold_out_mask(matrix, 0.3)
    model = train("svd", matrix, SMALL).model

    honest = evaluate(model, matrix, held_out)
    model.rating.user_factors[:] = np.nan
    model.ranking.user_factors[:] = np.nan

    assert evaluate(model, matrix, held_out).metrics == honest.metrics
