import msgspec
import numpy as np
import pytest

from recommender_assets.evaluation.floors import popularity_scores
from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.measures.rating import RATING
from recommender_assets.evaluation.model_scores import head_scores
from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import random_rows_per_user
from recommender_assets.features.matrix import matrix_of_events
from recommender_assets.settings import NmfSettings, SvdSettings, TrainingSettings
from recommender_assets.training.heads import TooFewRatingsError, fit_heads, with_users_of
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import train
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.factor_model import read_model, write_model
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.manifest import Position
from tests.matrices import NO_ITEMS, default_settings, events_table, matrix_from, movielens_matrix, random_matrix

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
    split = Split.of(matrix, random_rows_per_user(matrix.observations, 0.2, seed=0))
    hyper_parameters = SvdSettings() if algorithm == "svd" else NmfSettings()

    heads = fit_heads(split.training, matrix.n_items, hyper_parameters, seed=0)

    everything = np.arange(matrix.n_items)
    scores = head_scores(heads.rating, heads.ranking, split.training, everything, matrix.scale)
    assert RATING.measure(scores, split).values["rmse"] <= most_rmse
    found, popular = (CATALOGUE.measure(s, split).values for s in (scores, popularity_scores(split)))
    assert found["ndcg_at_10"] >= least_lift * popular["ndcg_at_10"]
    assert found["hit_rate_at_20"] >= least_hit_rate


@BOTH
def test_progress_tells_every_step_of_both_heads_in_order(algorithm):
    told = []

    train(algorithm, random_matrix(), SMALL, lambda stage, step, steps, _: told.append((stage, step, steps)))

    n = 5 if algorithm == "svd" else 4
    assert told == [("rating head", i, n) for i in range(1, n + 1)] + [("ranking head", i, 3) for i in range(1, 4)]


@BOTH
def test_another_seed_gives_another_model_and_another_version(algorithm):
    reseeded = msgspec.structs.replace(SMALL, training=TrainingSettings(seed=1))

    one, other = (train(algorithm, random_matrix(), chosen).model for chosen in (SMALL, reseeded))

    assert not set(all_arrays(one)) & {a for a, zero in zip(all_arrays(other), is_zero(other), strict=True) if not zero}
    assert one.version.rsplit("-", 1)[1] != other.version.rsplit("-", 1)[1]
    assert (one.manifest.seed, other.manifest.seed) == (0, 1)


def is_zero(model) -> list[bool]:
    return [not any(array) for array in all_arrays(model)]


@BOTH
def test_the_content_in_the_version_is_the_same_for_the_same_factors(algorithm):
    one, other = (train(algorithm, random_matrix(), SMALL).model.version for _ in range(2))

    assert one.rsplit("-", 1)[1] == other.rsplit("-", 1)[1]


@BOTH
def test_the_model_says_what_it_was_made_of(algorithm):
    events = events_table([("a", "x", "rating", 4.0), ("a", "y", "rating", 1.0), ("b", "y", "click", None)])
    position = Position(table_versions={"items": 3}, topic="t", topic_id="id", next_offsets={"0": 7, "2": 1})
    weights, scale = EventWeights(click=0.7), RatingScale(min=1.0, max=7.0)
    matrix = matrix_of_events(events, NO_ITEMS, position, weights, scale)

    model = train(
        algorithm, matrix, msgspec.structs.replace(SMALL, training=TrainingSettings(hold_out_share=0.01))
    ).model

    assert (model.manifest.position, model.manifest.weights, model.manifest.scale) == (position, weights, scale)
    assert model.manifest.hyper_parameters["hold_out_share"] == 0.01
    assert set(model.manifest.library_versions) == {"numba", "numpy"}
    assert model.popularity.tolist() == [1.0, 2.0]
    assert (model.user_ids[:], model.item_ids[:]) == (["a", "b"], ["x", "y"])


@BOTH
def test_held_out_views_do_not_reach_the_item_factors_either(algorithm):
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(12) for i in range(10)]
    matrix = matrix_from(events_table(rows))
    mask = hold_out_mask(matrix, 0.1)
    hidden = [
        (matrix.user_ids[u], matrix.item_ids[i])
        for u, i in zip(matrix.observations.user_of_row()[mask], matrix.observations.item[mask], strict=True)
    ]
    removed = [(user, item, "remove", None) for user, item in hidden]

    with_them, without = (train(algorithm, matrix_from(events_table(r)), SMALL).model for r in (rows, rows + removed))

    assert hidden
    assert item_arrays(with_them) == item_arrays(without)


@BOTH
def test_a_user_without_ratings_is_served_the_prior_and_ranked_by_views(algorithm):
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(8) for i in range(6)]
    matrix = matrix_from(
        events_table(
            [*rows, ("viewer", "i1", "view", None), ("gone", "i2", "view", None), ("gone", "i2", "remove", None)]
        )
    )

    model = train(algorithm, matrix, SMALL).model

    gone, viewer = (matrix.user_ids.index(name) for name in ("gone", "viewer"))
    np.testing.assert_allclose(
        model.rating.user_factors[[gone, viewer]], np.tile(model.rating.prior, (2, 1)), atol=1e-6
    )
    assert not model.rating.user_bias[[gone, viewer]].any()
    assert model.ranking.user_factors[viewer].any()
    np.testing.assert_allclose(model.ranking.user_factors[gone], 0, atol=1e-6)


@BOTH
def test_ratings_that_are_all_held_out_are_not_trained_on(algorithm):
    all_hidden = msgspec.structs.replace(SMALL, training=TrainingSettings(hold_out_share=1 - 1e-12))

    with pytest.raises(TooFewRatingsError, match="outside the hold-out"):
        train(algorithm, random_matrix(), all_hidden)


def test_new_users_for_old_items_leave_the_heads_they_came_from_alone():
    matrix = random_matrix()
    heads = fit_heads(matrix.observations, matrix.n_items, SMALL.models.svd, seed=0)
    before = heads.rating.user_factors.tobytes()

    solved = with_users_of(heads, matrix.observations.select(np.arange(len(matrix.observations.item)) % 2 == 0))

    assert heads.rating.user_factors.tobytes() == before != solved.rating.user_factors.tobytes()
    assert solved.rating.item_factors is heads.rating.item_factors
    assert solved.curves == heads.curves
