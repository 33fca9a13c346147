import numpy as np
import pytest

from recommender_assets.evaluation.floors import floors
from recommender_assets.evaluation.splits import random_rows_per_user
from tests.matrices import events_table, matrix_from, movielens_matrix


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
