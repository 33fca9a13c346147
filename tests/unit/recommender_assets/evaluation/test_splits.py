import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.splits import (
    NoOrderInTimeError,
    latest_rows,
    latest_rows_per_user,
    one_row_per_user,
    random_rows,
    random_rows_per_user,
)
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


COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=6)


@given(COUNTS, st.integers(0, 5), st.integers(1, 6))
def test_the_latest_rows_of_each_user_come_after_the_others(counts, seed, instants):
    observations = observations_of(counts)
    time = np.random.default_rng(seed).integers(instants, size=sum(counts))

    mask = latest_rows_per_user(observations, time, 0.3)

    for user, count in enumerate(counts):
        rows = observations.rows_of(user)
        kept, held = time[rows][~mask[rows]], time[rows][mask[rows]]
        assert len(held) == int(count * 0.3 + 0.5)
        assert kept.max(initial=-1) <= held.min(initial=instants)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.floats(0.05, 0.95))
def test_the_latest_rows_come_strictly_after_the_others(times, share):
    time = np.array(times)
    try:
        mask = latest_rows(time, share)
    except NoOrderInTimeError:
        first = np.sort(time)[len(time) - int(len(time) * share)]
        assert first == time.min()
        return

    assert mask.sum() >= int(len(time) * share)
    if mask.any():
        assert time[~mask].max() < time[mask].min()


def test_of_equal_times_the_later_item_is_held_out_so_nothing_is_left_to_chance():
    mask = latest_rows_per_user(observations_of([4]), np.zeros(4, dtype=np.int64), 0.5)

    assert mask.tolist() == [False, False, True, True]


def test_an_instant_is_never_torn_apart_and_one_instant_is_no_order():
    assert latest_rows(np.array([1, 2, 2, 2]), 0.25).tolist() == [False, True, True, True]
    with pytest.raises(NoOrderInTimeError):
        latest_rows(np.array([7, 7, 7, 7, 7]), 0.2)


@given(COUNTS, st.integers(0, 3))
def test_one_row_of_each_user_who_has_another(counts, seed):
    observations = observations_of(counts)

    mask = one_row_per_user(observations, seed)

    per_user = np.bincount(observations.user_of_row()[mask], minlength=len(counts))
    assert per_user.tolist() == [int(count >= 2) for count in counts]
