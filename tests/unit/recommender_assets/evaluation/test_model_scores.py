import numpy as np
import pytest

from recommender_assets.evaluation.model_scores import model_scores
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.trainer import train
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from tests.matrices import default_settings, events_table, matrix_from, random_matrix

SMALL = default_settings(
    svd=SvdSettings(factors=4, epochs=5, ranking_iterations=2),
    nmf=NmfSettings(factors=3, iterations=3, ranking_iterations=2),
)


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_scores_are_those_of_the_service_for_the_same_events(algorithm):
    matrix = random_matrix()
    model = train(algorithm, matrix, SMALL).model
    user = 3
    shown = np.arange(len(matrix.observations.item)) % 3 > 0
    training = matrix.observations.select(shown)
    rows = training.rows_of(user)
    rated = ~np.isnan(training.rating[rows])

    scores = model_scores(model, matrix, training)

    x, bias = fold_in_rating(model.rating, training.item[rows][rated], training.rating[rows][rated])
    stars = model.rating.global_mean + bias + model.rating.item_bias + model.rating.item_factors @ x
    everything = np.arange(matrix.n_items, dtype=np.int32)
    found = scores.predicted_ratings(np.full(matrix.n_items, user, dtype=np.int32), everything)
    np.testing.assert_allclose(found, np.clip(stars, 0.5, 5.0), atol=1e-5)
    y = fold_in_ranking(model.ranking, training.item[rows], training.strength[rows])
    np.testing.assert_allclose(
        scores.catalogue_scores(slice(user, user + 1))[0], model.ranking.item_factors @ y, atol=1e-5
    )


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_an_older_model_does_not_list_items_it_does_not_know_but_predicts_them_at_the_users_level(algorithm):
    older = random_matrix()
    model = train(algorithm, older, SMALL).model
    rows = [(f"u{user}", "0 is new", "rating", 5.0) for user in range(5)]
    rows += [("u0", f"i{item}", "rating", 4.5) for item in range(10)] + [("u1", "i1", "rating", 0.5)]
    newer = matrix_from(events_table(rows))
    new_item, known_item = newer.item_ids.index("0 is new"), newer.item_ids.index("i3")

    scores = model_scores(model, newer, newer.observations)

    listed = scores.catalogue_scores(slice(0, newer.n_users))
    assert (listed[:, new_item] == -np.inf).all()
    assert np.isfinite(listed[:, known_item]).all()
    both = np.array([0, 1], dtype=np.int32)
    delighted, displeased = scores.predicted_ratings(both, np.full(2, new_item, dtype=np.int32))
    assert delighted > displeased
