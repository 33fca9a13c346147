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


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_items_are_matched_by_id_and_not_by_index(algorithm):
    older = random_matrix(n_users=12, n_items=10)
    model = train(algorithm, older, SMALL).model
    # Sorts before everything and takes i0..i4 away: every remaining item has another index.
    kept = [(f"u{u}", f"i{i}", "rating", 0.5 + (u + i) % 10 / 2) for u in range(12) for i in range(5, 10)]
    newer = matrix_from(events_table([*kept, ("new user", "0 is new", "rating", 3.0)]))
    user = newer.user_ids.index("u3")
    rows = newer.observations.rows_of(user)
    old_items = np.array([older.item_ids.index(newer.item_ids[i]) for i in newer.observations.item[rows]], np.int32)

    scores = model_scores(model, newer, newer.observations)

    x, bias = fold_in_rating(model.rating, old_items, newer.observations.rating[rows])
    items = newer.observations.item[rows]
    found = scores.predicted_ratings(np.full(len(items), user, dtype=np.int32), items)
    head = model.rating
    stars = head.global_mean + bias + head.item_bias[old_items] + head.item_factors[old_items] @ x
    np.testing.assert_allclose(found, np.clip(stars, 0.5, 5.0), atol=1e-5)
    y = fold_in_ranking(model.ranking, old_items, newer.observations.strength[rows])
    np.testing.assert_allclose(
        scores.catalogue_scores(slice(user, user + 1))[0, items], model.ranking.item_factors[old_items] @ y, atol=1e-5
    )


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_model_that_knows_no_item_predicts_a_level_and_lists_nothing(algorithm):
    model = train(algorithm, random_matrix(), SMALL).model
    strangers = matrix_from(events_table([("u1", "a", "rating", 1.0), ("u2", "b", "rating", 5.0)]))

    scores = model_scores(model, strangers, strangers.observations)

    found = scores.predicted_ratings(np.array([0, 1], np.int32), np.array([0, 1], np.int32))
    assert found[0] == found[1]
    assert 2.0 < found[0] < 4.5
    assert (scores.catalogue_scores(slice(0, 2)) == -np.inf).all()


def test_predictions_stay_on_the_scale():
    model = train("svd", random_matrix(), SMALL).model
    model.rating.item_bias[:5] = 90.0
    model.rating.item_bias[5:] = -90.0
    matrix = random_matrix()

    scores = model_scores(
        model, matrix, matrix.observations.select(np.zeros(len(matrix.observations.item), dtype=bool))
    )

    found = scores.predicted_ratings(np.zeros(25, np.int32), np.arange(25, dtype=np.int32))
    assert found.tolist() == [5.0] * 5 + [0.5] * 20


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_user_whose_every_item_is_held_out_gets_the_popular_items(algorithm):
    matrix = random_matrix()
    model = train(algorithm, matrix, SMALL).model
    others = matrix.observations.user_of_row() != 3

    training = matrix.observations.select(others)
    scores = model_scores(model, matrix, training).catalogue_scores(slice(2, 5))

    assert scores[1].tolist() == np.bincount(training.item, minlength=matrix.n_items).tolist()
    assert scores[0].tolist() != scores[1].tolist()
