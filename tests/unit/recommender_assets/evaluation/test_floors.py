import numpy as np
import pytest

from recommender_assets.evaluation.evaluation import floor_figures
from recommender_assets.evaluation.floors import measure_floors, popularity_scores
from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.protocols import MEASURES, PROTOCOLS
from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import random_rows_per_user
from tests.matrices import events_table, matrix_from, movielens_matrix
from tests.splits import random_split, table_scores

ALL = [MEASURES[name] for name in ("rating", "rerank", "catalogue")]


def test_item_mean_is_shrunk_by_five_ratings():
    rows = [(f"u{i}", "a", "rating", 5.0) for i in range(5)] + [(f"u{i}", "b", "rating", 1.0) for i in range(5)]
    rows += [("v", "a", "rating", 4.0), ("v", "b", "rating", 2.0)]
    matrix = matrix_from(events_table(rows))

    split = Split.of(matrix, matrix.observations.user_of_row() == 5)

    # Global mean 3; the item means 5 and 1 are drawn half way to it: 4 and 2.
    assert measure_floors(MEASURES["rating"], split)["item_mean"].values["rmse"] == pytest.approx(0.0)


def test_floors_on_real_ratings_are_where_they_were_published():
    found = floor_figures(PROTOCOLS["catalogue"].divide(movielens_matrix(), seed=0), ALL).values

    assert found["catalogue_ndcg_at_10"]["popularity"] == pytest.approx(0.181, abs=0.015)
    assert found["catalogue_hit_rate_at_20"]["popularity"] == pytest.approx(0.75, abs=0.03)
    assert found["catalogue_ndcg_at_10"]["random"] < 0.01
    assert found["rerank_ndcg_at_10"]["random"] == pytest.approx(0.621, abs=0.015)
    assert found["rerank_ndcg_at_10"]["popularity"] == pytest.approx(0.707, abs=0.015)
    assert found["rerank_ndcg_at_10"]["item_mean"] > found["rerank_ndcg_at_10"]["popularity"]
    assert np.isfinite([value for by_floor in found.values() for value in by_floor.values()]).all()


def test_popularity_counts_users_and_is_the_same_list_for_everyone():
    split = random_split()
    users = [sum(item == i for item in split.training.item.tolist()) for i in range(split.n_items)]

    found = CATALOGUE.measure(popularity_scores(split), split).values

    assert found == CATALOGUE.measure(table_scores(np.tile(np.array(users), (25, 1))), split).values


def test_item_means_equal_a_loop():
    split = random_split()
    pairs = zip(split.training.item.tolist(), split.training.rating.tolist(), strict=True)
    ratings = [(i, r) for i, r in pairs if not np.isnan(r)]
    overall = sum(r for _, r in ratings) / len(ratings)
    means = np.empty(split.n_items)
    for item in range(split.n_items):
        of_item = [r for i, r in ratings if i == item]
        means[item] = (sum(of_item) + 5 * overall) / (len(of_item) + 5)
    rated = split.rated_test

    found = measure_floors(MEASURES["rating"], split)["item_mean"].values["rmse"]

    assert found == pytest.approx(np.sqrt(np.mean((means[rated.item] - rated.rating) ** 2)))


def test_floors_do_not_depend_on_chance_and_only_stand_where_they_say_something():
    split = random_split()

    found = floor_figures(split, ALL).values

    assert found == floor_figures(split, ALL).values
    for measure in ALL:
        for metric, facts in measure.metrics.items():
            name = metric if measure.name == "rating" else f"{measure.name}_{metric}"
            assert set(found.get(name, {})) == set(facts.floors)
    assert "random" not in found["catalogue_coverage_at_20"]


def test_a_random_order_is_the_same_for_the_same_users_and_another_for_others():
    split = random_split()
    scores = measure_floors(CATALOGUE, split)

    assert set(scores) == {"random", "popularity"}
    from recommender_assets.evaluation.floors import random_scores

    one, same, other = (random_scores(split).catalogue_scores(slice(s, s + 4)) for s in (0, 0, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_without_any_rating_rating_floors_are_undefined_and_catalogue_floors_are_not():
    rows = [(f"u{u}", f"i{i}", "view", None) for u in range(6) for i in range(30) if (u * i) % 4]
    matrix = matrix_from(events_table(rows))
    split = Split.of(matrix, random_rows_per_user(matrix.observations, 0.3, seed=0))

    found = floor_figures(split, ALL).values

    assert np.isnan(found["rmse"]["item_mean"])
    assert np.isnan(found["rerank_map_at_10"]["popularity"])
    assert 0 < found["catalogue_ndcg_at_10"]["popularity"] <= 1
