import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.splits import random_rows, random_rows_per_user
from recommender_serving.engine.history import Observations


def observations_of(counts: list[int]) -> Observations:
    n = sum(counts)
    ones = np.ones(n, dtype=np.float32)
    return Observations(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.arange(n, dtype=np.int32), ones, ones
    )


def test_random_rows_takes_the_share_and_depends_on_the_seed_alone():
    mask = random_rows(103, 0.2, seed=1)

    assert mask.sum() == 20
    np.testing.assert_array_equal(mask, random_rows(103, 0.2, seed=1))
    assert (mask != random_rows(103, 0.2, seed=2)).any()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 5))
def test_every_user_gives_the_share_rounded_half_up(counts, seed):
    observations = observations_of(counts)

    mask = random_rows_per_user(observations, 0.2, seed)

    per_user = np.bincount(observations.user_of_row()[mask], minlength=len(counts))
    assert per_user.tolist() == [int(count * 0.2 + 0.5) for count in counts]


def test_which_rows_of_a_user_are_taken_is_random():
    observations = observations_of([40, 40])
    masks = [random_rows_per_user(observations, 0.25, seed) for seed in range(40)]

    assert np.mean(masks, axis=0).min() > 0.02


def test_no_share_and_the_whole_share():
    observations = observations_of([0, 1, 7])

    assert not random_rows(8, 0.0, seed=0).any()
    assert random_rows(8, 1.0, seed=0).all()
    assert not random_rows_per_user(observations, 0.0, seed=0).any()
    assert random_rows_per_user(observations, 1.0, seed=0).all()


def test_a_split_per_user_depends_on_the_seed_alone():
    observations = observations_of([30, 30])

    one, again, other = (random_rows_per_user(observations, 0.5, seed) for seed in (1, 1, 2))

    assert one.tolist() == again.tolist() != other.tolist()
    assert one[:30].tolist() != one[30:].tolist()


def test_there_may_be_nothing_to_divide():
    assert random_rows(0, 0.5, seed=0).shape == (0,)
    assert random_rows_per_user(observations_of([0, 0]), 0.5, seed=0).shape == (0,)
