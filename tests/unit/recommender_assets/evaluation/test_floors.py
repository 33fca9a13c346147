import numpy as np
import pytest

from recommender_assets.evaluation.floors import floors
from recommender_assets.evaluation.protocols import catalogue_metrics
from recommender_assets.evaluation.splits import random_rows_per_user
from tests.matrices import events_table, matrix_from, movielens_matrix, random_matrix


def test_item_mean_is_shrunk_by_five_ratings():
    rows = [(f"u{i}", "a", "rating", 5.0) for i in range(5)] + [(f"u{i}", "b", "rating", 1.0) for i in range(5)]
    rows += [("v", "a", "rating", 4.0), ("v", "b", "rating", 2.0)]
    observations = matrix_from(events_table(rows)).observations
    is_test = observations.user_of_row() == 5

    # Global mean 3; the item means 5 and 1 are drawn half way to it: 4 and 2.
    assert floors(observations.select(~is_test), observations.select(is_test), 2)["rmse"] == {
        "item_mean": pytest.approx(0.0)
    }


def test_floors_on_real_ratings_are_where_they_were_published():
    matrix = movielens_matrix()
    mask = random_rows_per_user(matrix.observations, 0.2, seed=0)

    found = floors(matrix.observations.select(~mask), matrix.observations.select(mask), matrix.n_items)

    assert found["catalogue_ndcg_at_10"]["popularity"] == pytest.approx(0.181, abs=0.015)
    assert found["catalogue_hit_rate_at_20"]["popularity"] == pytest.approx(0.75, abs=0.03)
    assert found["catalogue_ndcg_at_10"]["random"] < 0.01
    assert found["rerank_ndcg_at_10"]["random"] == pytest.approx(0.621, abs=0.015)
    assert found["rerank_ndcg_at_10"]["popularity"] == pytest.approx(0.707, abs=0.015)
    assert found["rerank_ndcg_at_10"]["item_mean"] > found["rerank_ndcg_at_10"]["popularity"]
    assert np.isfinite([value for by_floor in found.values() for value in by_floor.values()]).all()


def split_matrix():
    matrix = random_matrix(n_users=30, n_items=60)
    mask = random_rows_per_user(matrix.observations, 0.4, seed=0)
    return matrix.observations.select(~mask), matrix.observations.select(mask), matrix.n_items


def test_popularity_counts_users_and_is_the_same_list_for_everyone():
    training, test, n_items = split_matrix()
    users = [sum(item == i for item in training.item.tolist()) for i in range(n_items)]
    scores = np.tile(np.array(users, dtype=np.float32), (test.n_users, 1))

    found = floors(training, test, n_items)

    expected = catalogue_metrics(lambda chosen: scores[chosen].copy(), training, test, n_items)
    for metric in ("catalogue_ndcg_at_10", "catalogue_hit_rate_at_20", "catalogue_coverage"):
        assert found[metric]["popularity"] == expected[metric]


def test_item_means_equal_a_loop():
    training, test, n_items = split_matrix()
    pairs = zip(training.item.tolist(), training.rating.tolist(), strict=True)
    ratings = [(i, r) for i, r in pairs if not np.isnan(r)]
    overall = sum(r for _, r in ratings) / len(ratings)
    means = np.empty(n_items)
    for item in range(n_items):
        of_item = [r for i, r in ratings if i == item]
        means[item] = (sum(of_item) + 5 * overall) / (len(of_item) + 5)
    rated = ~np.isnan(test.rating)

    found = floors(training, test, n_items)["rmse"]["item_mean"]

    assert found == pytest.approx(np.sqrt(np.mean((means[test.item[rated]] - test.rating[rated]) ** 2)))


def test_floors_do_not_depend_on_chance_and_only_stand_where_they_say_something():
    training, test, n_items = split_matrix()

    found = floors(training, test, n_items)

    assert found == floors(training, test, n_items)
    assert {metric: set(values) for metric, values in found.items()} == {
        "rmse": {"item_mean"},
        "rerank_ndcg_at_10": {"random", "popularity", "item_mean"},
        "rerank_map_at_10": {"random", "popularity", "item_mean"},
        "catalogue_ndcg_at_10": {"random", "popularity"},
        "catalogue_hit_rate_at_20": {"random", "popularity"},
        "catalogue_coverage": {"popularity"},
    }


def test_without_any_rating_rating_floors_are_undefined_and_catalogue_floors_are_not():
    rows = [(f"u{u}", f"i{i}", "view", None) for u in range(6) for i in range(30) if (u * i) % 4]
    observations = matrix_from(events_table(rows)).observations
    mask = random_rows_per_user(observations, 0.3, seed=0)

    found = floors(observations.select(~mask), observations.select(mask), 30)

    assert np.isnan(found["rmse"]["item_mean"])
    assert np.isnan(found["rerank_map_at_10"]["popularity"])
    assert 0 < found["catalogue_ndcg_at_10"]["popularity"] <= 1
