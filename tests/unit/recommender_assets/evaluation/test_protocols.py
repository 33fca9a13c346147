import numpy as np
import pytest

from recommender_assets.evaluation.protocols import MEASURES, PROTOCOLS
from recommender_assets.evaluation.splits import NoOrderInTimeError
from recommender_assets.features.pair_times import pair_times
from tests.matrices import events_table, matrix_from, movielens_matrix, random_matrix


def pairs(observations) -> set[tuple[int, int]]:
    return set(zip(observations.user_of_row().tolist(), observations.item.tolist(), strict=True))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_test_row_is_in_training_and_none_is_lost(name):
    matrix = random_matrix()

    split = PROTOCOLS[name].divide(matrix, seed=0)

    assert not pairs(split.training) & pairs(split.test)
    assert pairs(split.training) | pairs(split.test) == pairs(matrix.observations)
    assert len(split.test.item)
    assert len(split.training.item) > len(split.test.item)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_seed_alone_decides_what_is_held_out(name):
    matrix = random_matrix()
    chosen = [PROTOCOLS[name].choose(matrix, seed) for seed in (0, 0, 1)]

    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert (chosen[0] == chosen[2]).all() == name.startswith("temporal")


def test_the_global_split_keeps_the_order_in_time_on_real_ratings():
    matrix = movielens_matrix()
    held_out = PROTOCOLS["temporal_global"].choose(matrix, 0)
    time = pair_times(matrix)

    assert time[~held_out].max() < time[held_out].min()
    assert held_out.mean() == pytest.approx(0.2, abs=0.001)


def test_the_split_of_each_user_keeps_the_users_order_on_real_ratings():
    matrix = movielens_matrix()
    held_out = PROTOCOLS["temporal"].choose(matrix, 0)
    time, user = pair_times(matrix), matrix.observations.user_of_row()
    latest_trained = np.full(matrix.n_users, np.iinfo(np.int64).min)
    np.maximum.at(latest_trained, user[~held_out], time[~held_out])

    assert (time[held_out] >= latest_trained[user[held_out]]).all()


@pytest.mark.parametrize("name", ["temporal", "temporal_global"])
def test_ratings_without_time_stamps_are_refused(name):
    events = events_table([(f"u{i}", f"i{i % 3}", "rating", 3.0) for i in range(9)])
    at_once = events.set_column(4, "timestamp", [events["timestamp"].combine_chunks().take([0] * 9)])

    with pytest.raises(NoOrderInTimeError, match="same time stamp"):
        PROTOCOLS[name].divide(matrix_from(at_once), seed=0)


def test_measures_and_protocols_are_known_by_their_own_names():
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert all(name == measure.name for name, measure in MEASURES.items())
    assert set(PROTOCOLS) >= {"rating", "rerank", "catalogue", "temporal", "leave_one_out"}
