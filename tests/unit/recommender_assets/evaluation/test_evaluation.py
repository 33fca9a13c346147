import math

import numpy as np
import pytest

from recommender_assets.evaluation.evaluation import Evaluation, evaluate
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import train
from recommender_serving.engine.history import Observations
from tests.matrices import default_settings, events_table, matrix_from, random_matrix

SMALL = default_settings(
    svd=SvdSettings(factors=4, epochs=60, ranking_iterations=4),
    nmf=NmfSettings(factors=4, iterations=10, ranking_iterations=4),
)


def evaluated(model, matrix, held_out, measures=("rating", "rerank", "catalogue")) -> Evaluation:
    return evaluate({"model": model}, matrix, held_out, measures)["model"]


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_every_metric_is_measured_explained_and_stands_next_to_its_floors(algorithm):
    matrix = random_matrix(n_users=80, n_items=70)
    held_out = hold_out_mask(matrix, 0.3)

    found = evaluated(train(algorithm, matrix, SMALL).model, matrix, held_out)

    assert set(found.metrics) == set(found.meanings)
    assert set(found.metrics) >= {"rmse", "mae", "rerank_map_at_10", "catalogue_ndcg_at_10"}
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert found.metrics["rmse"] < found.floors.values["rmse"]["item_mean"]
    assert set(found.floors.values["catalogue_ndcg_at_10"]) == {"random", "popularity"}
    assert set(found.floors.curves["catalogue_recall"]) == {"random", "popularity"}


def test_only_the_measures_asked_for_are_measured():
    matrix = random_matrix(n_users=80, n_items=70)
    held_out = hold_out_mask(matrix, 0.3)

    found = evaluated(train("svd", matrix, SMALL).model, matrix, held_out, ("leave_one_out",))

    assert set(found.metrics) == {"leave_one_out_hit_rate_at_10", "leave_one_out_ndcg_at_10"}
    assert set(found.floors.values) == set(found.metrics)


def test_intervals_stand_beside_figures_and_two_models_are_paired():
    matrix = random_matrix(n_users=80, n_items=70)
    held_out = hold_out_mask(matrix, 0.3)
    models = {name: train(name, matrix, SMALL).model for name in ("svd", "nmf")}

    found = evaluate(models, matrix, held_out)
    differences = found["svd"].difference_to(found["nmf"])

    for name, interval in found["svd"].intervals().items():
        assert interval.low <= interval.value <= interval.high
        assert interval.value == pytest.approx(found["svd"].metrics[name])
        assert differences[name].value == pytest.approx(found["svd"].metrics[name] - found["nmf"].metrics[name])
    assert set(found["svd"].metrics) - set(differences) == {"catalogue_coverage_at_20", "catalogue_gini_at_20"}
    other = evaluate(models, matrix, hold_out_mask(matrix, 0.2))
    with pytest.raises(ValueError, match="not measured on the same users"):
        found["svd"].difference_to(other["nmf"])


def test_held_out_ratings_and_pairs_leak_into_no_prediction(monkeypatch):
    matrix = random_matrix()
    held_out = hold_out_mask(matrix, 0.3)
    model = train("svd", matrix, SMALL).model
    seen: list[Observations] = []
    from recommender_assets.evaluation import evaluation

    original = evaluation.model_scores
    monkeypatch.setattr(
        evaluation,
        "model_scores",
        lambda model, matrix, training: seen.append(training) or original(model, matrix, training),
    )
    evaluated(model, matrix, held_out)

    (training,) = seen
    pairs = set(zip(training.user_of_row().tolist(), training.item.tolist(), strict=True))
    hidden = matrix.observations.select(held_out)
    assert len(hidden.item)
    assert not pairs & set(zip(hidden.user_of_row().tolist(), hidden.item.tolist(), strict=True))


def test_shipped_users_who_know_the_hold_out_do_not_help_the_evaluation():
    matrix = random_matrix(n_users=80, n_items=70)
    held_out = hold_out_mask(matrix, 0.3)
    model = train("svd", matrix, SMALL).model

    honest = evaluated(model, matrix, held_out)
    model.rating.user_factors[:] = np.nan
    model.ranking.user_factors[:] = np.nan

    assert evaluated(model, matrix, held_out).metrics == honest.metrics


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_an_older_champion_that_lacks_users_and_items_is_measured_on_everything(algorithm):
    older = random_matrix(n_users=25, n_items=30)
    champion = train(algorithm, older, SMALL).model
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(20, 40) for i in range(15, 60)]
    newer = matrix_from(events_table(rows))
    held_out = hold_out_mask(newer, 0.3)

    found = evaluated(champion, newer, held_out)
    fresh = evaluated(train(algorithm, newer, SMALL).model, newer, held_out)

    assert found.floors.values == fresh.floors.values
    assert all(math.isfinite(value) for value in found.metrics.values())
    assert found.metrics["catalogue_coverage_at_20"] <= 15 / newer.n_items
    assert found.metrics["catalogue_user_coverage"] == 0.0  # 15 known items do not fill a list of 20


def test_held_out_ratings_change_no_prediction_only_what_it_is_compared_with():
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(15) for i in range(30)]
    matrix = matrix_from(events_table(rows))
    held_out = hold_out_mask(matrix, 0.3)
    hidden = {
        (matrix.user_ids[u], matrix.item_ids[i])
        for u, i in zip(matrix.observations.user_of_row()[held_out], matrix.observations.item[held_out], strict=True)
    }
    flipped = matrix_from(events_table([(u, i, kind, 5.5 - r if (u, i) in hidden else r) for u, i, kind, r in rows]))
    model = train("svd", matrix, SMALL).model

    honest, other = (evaluated(model, m, held_out).metrics for m in (matrix, flipped))

    for name in (
        "catalogue_ndcg_at_10",
        "catalogue_hit_rate_at_20",
        "catalogue_coverage_at_20",
        "catalogue_user_coverage",
    ):
        assert honest[name] == other[name]
    assert honest["rmse"] != other["rmse"]


def test_nothing_held_out_leaves_accuracy_undefined_and_coverage_measured():
    matrix = random_matrix()
    nothing = np.zeros(len(matrix.observations.item), dtype=bool)

    found = evaluated(train("svd", matrix, SMALL).model, matrix, nothing).metrics

    measured = {name for name, value in found.items() if not math.isnan(value)}
    assert measured == {
        f"catalogue_{name}" for name in ("user_coverage", "coverage_at_20", "gini_at_20", "novelty_at_20")
    }
