import numpy as np
import pytest

from recommender_assets.evaluation.floors import floors
from recommender_assets.evaluation.protocols import catalogue_metrics, rating_metrics
from recommender_assets.evaluation.splits import random_rows_per_user
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import TooFewRatingsError, fit_heads, train, with_users_of
from recommender_serving.engine.factor_model import read_model, write_model
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from tests.matrices import default_settings, events_table, matrix_from, movielens_matrix, random_matrix

SMALL = default_settings(
    svd=SvdSettings(factors=5, epochs=5, ranking_iterations=3),
    nmf=NmfSettings(factors=4, iterations=4, ranking_iterations=3),
)
BOTH = pytest.mark.parametrize("algorithm", ["svd", "nmf"])


def item_arrays(model) -> list[bytes]:
    return [
        array.tobytes() for array in (model.rating.item_factors, model.rating.item_bias, model.ranking.item_factors)
    ]


def all_arrays(model) -> list[bytes]:
    users = (model.rating.user_factors, model.rating.user_bias, model.ranking.user_factors)
    return item_arrays(model) + [array.tobytes() for array in users]


@BOTH
def test_the_model_file_holds_what_was_trained(algorithm, tmp_path):
    matrix = random_matrix()

    trained = train(algorithm, matrix, SMALL)
    write_model(tmp_path / "model", trained.model)
    read = read_model(tmp_path / "model")

    assert all_arrays(read) == all_arrays(trained.model)
    assert read.algorithm == algorithm
    assert read.version.startswith(f"{algorithm}-20")
    assert read.manifest.hyper_parameters["factors"] == read.rating.item_factors.shape[1]
    assert read.manifest.metrics == {"train_rmse": pytest.approx(trained.curves["rating_rmse"][-1])}
    assert len(trained.curves["ranking_loss"]) == 3


@BOTH
def test_same_seed_and_matrix_give_the_same_bytes(algorithm):
    assert all_arrays(train(algorithm, random_matrix(), SMALL).model) == all_arrays(
        train(algorithm, random_matrix(), SMALL).model
    )


@BOTH
def test_row_order_and_repeated_events_change_nothing(algorithm):
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(12) for i in range(10)]
    events = events_table(rows)
    shuffled = events.take(np.random.default_rng(0).permutation(np.repeat(np.arange(len(rows)), 2)))

    assert all_arrays(train(algorithm, matrix_from(events), SMALL).model) == all_arrays(
        train(algorithm, matrix_from(shuffled), SMALL).model
    )


@BOTH
def test_held_out_ratings_never_reach_the_item_factors_but_do_reach_the_users(algorithm):
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(12) for i in range(10)]
    matrix = matrix_from(events_table(rows))
    mask = hold_out_mask(matrix, 0.1)
    assert mask.any()
    pairs = zip(matrix.observations.user_of_row()[mask], matrix.observations.item[mask], strict=True)
    held_out = {(matrix.user_ids[u], matrix.item_ids[i]) for u, i in pairs}
    reversed_taste = [(u, i, kind, 5.5 - r if (u, i) in held_out else r) for u, i, kind, r in rows]

    model = train(algorithm, matrix, SMALL).model
    other = train(algorithm, matrix_from(events_table(reversed_taste)), SMALL).model

    assert item_arrays(model) == item_arrays(other)
    assert model.rating.prior.tobytes() == other.rating.prior.tobytes()
    assert all_arrays(model) != all_arrays(other)


@BOTH
def test_shipped_users_are_the_services_solution_of_all_their_events(algorithm):
    matrix = random_matrix()
    model = train(algorithm, matrix, SMALL).model

    for user in range(matrix.n_users):
        rows = matrix.observations.rows_of(user)
        item, rating = matrix.observations.item[rows], matrix.observations.rating[rows]
        rated = ~np.isnan(rating)
        x, bias = fold_in_rating(model.rating, item[rated], rating[rated])
        np.testing.assert_allclose(model.rating.user_factors[user], x, atol=1e-6)
        assert model.rating.user_bias[user] == pytest.approx(bias, abs=1e-6)
        y = fold_in_ranking(model.ranking, item, matrix.observations.strength[rows])
        np.testing.assert_allclose(model.ranking.user_factors[user], y, atol=1e-6)


@BOTH
def test_without_ratings_there_is_nothing_to_train(algorithm):
    views = matrix_from(events_table([("a", "x", "view", None), ("b", "y", "click", None)]))

    with pytest.raises(TooFewRatingsError, match="no rating to learn from"):
        train(algorithm, views, SMALL)


@pytest.mark.parametrize(
    ("algorithm", "most_rmse", "least_lift", "least_hit_rate"), [("svd", 0.885, 1.5, 0.84), ("nmf", 0.89, 1.5, 0.84)]
)
def test_defaults_reach_their_accuracy_on_real_ratings(algorithm, most_rmse, least_lift, least_hit_rate):
    matrix = movielens_matrix()
    held_out = random_rows_per_user(matrix.observations, 0.2, seed=0)
    training, test = matrix.observations.select(~held_out), matrix.observations.select(held_out)

    hyper_parameters = SvdSettings() if algorithm == "svd" else NmfSettings()
    heads = with_users_of(fit_heads(training, matrix.n_items, hyper_parameters, seed=0), training)

    stars, order = heads.rating, heads.ranking

    def predict(user, item):
        product = np.einsum("nf,nf->n", stars.user_factors[user], stars.item_factors[item])
        return np.clip(stars.global_mean + stars.user_bias[user] + stars.item_bias[item] + product, 0.5, 5.0)

    assert rating_metrics(predict, test)["rmse"] <= most_rmse
    found = catalogue_metrics(
        lambda users: order.user_factors[users] @ order.item_factors.T, training, test, matrix.n_items
    )
    popularity = floors(training, test, matrix.n_items)["catalogue_ndcg_at_10"]["popularity"]
    assert found["catalogue_ndcg_at_10"] >= least_lift * popularity
    assert found["catalogue_hit_rate_at_20"] >= least_hit_rate
