import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recommender_assets.evaluation.bootstrap import interval, paired_difference
from recommender_assets.evaluation.interval import Interval
from recommender_assets.evaluation.metric_by_user import MetricByUser

DATA_SETS = 300


def coverage(truth: float, intervals: list[Interval]) -> float:
    return float(np.mean([found.low <= truth <= found.high for found in intervals]))


def rmse_of(random: np.random.Generator, n_users: int) -> MetricByUser:
    """Users differ in how many ratings they give and in how large their errors are; E[error^2] is 1.25."""
    rows = 1 + random.poisson(8, n_users)
    scale = random.choice([0.5, 1.5], n_users)
    user = np.repeat(np.arange(n_users), rows)
    return MetricByUser.over_pairs(user, random.normal(0, scale[user]) ** 2, n_users, is_root=True)


def test_a_mean_over_users_lies_inside_its_interval_as_often_as_the_level_says():
    random = np.random.default_rng(1)
    skewed = [MetricByUser.mean_over_users(random.beta(0.6, 2.4, 60)) for _ in range(DATA_SETS)]

    covered = coverage(0.2, [interval(metric, seed=i, resamples=500) for i, metric in enumerate(skewed)])

    assert 0.92 <= covered <= 0.98


def test_ratings_of_one_user_stay_together_so_a_clustered_error_is_covered():
    random = np.random.default_rng(2)
    metrics = [rmse_of(random, 80) for _ in range(DATA_SETS)]

    covered = coverage(math.sqrt(1.25), [interval(m, seed=i, resamples=500) for i, m in enumerate(metrics)])

    assert 0.92 <= covered <= 0.98


def test_a_paired_difference_is_covered_and_is_narrower_than_either_figure():
    random = np.random.default_rng(3)
    found, single = [], []
    for seed in range(DATA_SETS):
        shared = random.normal(0.5, 0.2, 60)
        better = MetricByUser.mean_over_users(shared + random.normal(0.02, 0.03, 60))
        base = MetricByUser.mean_over_users(shared)
        found.append(paired_difference(better, base, seed=seed, resamples=500))
        single.append(interval(base, seed=seed, resamples=500))

    assert 0.92 <= coverage(0.02, found) <= 0.98
    assert np.mean([f.high - f.low for f in found]) < 0.3 * np.mean([s.high - s.low for s in single])
    assert np.mean([f.excludes_zero for f in found]) > 0.9


def test_two_models_that_are_alike_are_told_apart_no_more_often_than_the_level_allows():
    random = np.random.default_rng(4)
    shared = [random.normal(0.5, 0.2, (2, 60)) for _ in range(DATA_SETS)]

    told_apart = [
        paired_difference(
            MetricByUser.mean_over_users(left), MetricByUser.mean_over_users(right), seed=i, resamples=500
        ).excludes_zero
        for i, (left, right) in enumerate(shared)
    ]

    assert np.mean(told_apart) <= 0.09


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_ends_are_those_of_an_independent_implementation(level):
    values = np.random.default_rng(5).exponential(size=50)

    found = interval(MetricByUser.mean_over_users(values), resamples=20_000, level=level)

    other = stats.bootstrap((values,), np.mean, n_resamples=20_000, confidence_level=level, rng=7).confidence_interval
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.02)


def test_the_ends_of_a_difference_are_those_of_an_independent_implementation():
    random = np.random.default_rng(6)
    left, right = random.exponential(size=(2, 40))

    found = paired_difference(MetricByUser.mean_over_users(left), MetricByUser.mean_over_users(right), resamples=20_000)

    def difference(one, two, axis):
        return one.mean(axis=axis) - two.mean(axis=axis)

    other = stats.bootstrap((left, right), difference, n_resamples=20_000, paired=True, rng=7).confidence_interval
    assert found.value == pytest.approx(left.mean() - right.mean())
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=40), st.integers(0, 5))
def test_a_difference_turns_its_sign_with_its_sides_and_the_seed_fixes_it(pairs, seed):
    left, right = (MetricByUser.mean_over_users(np.array(column)) for column in zip(*pairs, strict=True))

    forth = paired_difference(left, right, seed=seed, resamples=200)
    back = paired_difference(right, left, seed=seed, resamples=200)

    assert forth == paired_difference(left, right, seed=seed, resamples=200)
    assert forth.value == pytest.approx(-back.value)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-9)
    assert forth.low <= forth.high


def test_users_who_do_not_qualify_change_nothing():
    values = np.random.default_rng(7).random(30)
    with_others = np.concatenate([values, np.full(500, np.nan)])

    assert interval(MetricByUser.mean_over_users(with_others)) == interval(MetricByUser.mean_over_users(values))


def test_equal_users_leave_no_doubt():
    found = interval(MetricByUser.mean_over_users(np.full(20, 0.25)))

    assert found == Interval(0.25, 0.25, 0.25)
    assert paired_difference(*[MetricByUser.mean_over_users(np.full(20, 0.25))] * 2) == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, math.nan]])
def test_one_user_has_no_interval(values):
    found = interval(MetricByUser.mean_over_users(np.array(values)))

    assert found.value == pytest.approx(np.nanmean(values) if values else math.nan, nan_ok=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.excludes_zero


@pytest.mark.parametrize(
    "other",
    [
        MetricByUser.mean_over_users(np.array([0.1, math.nan, 0.3])),
        MetricByUser.mean_over_users(np.array([0.1, 0.2])),
        MetricByUser(np.array([0.1, 0.2, 0.3]), np.ones(3), is_root=True),
    ],
)
def test_what_was_not_measured_alike_is_not_paired(other):
    with pytest.raises(ValueError, match="not measured on the same users"):
        paired_difference(MetricByUser.mean_over_users(np.array([0.1, 0.2, 0.3])), other)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
def test_a_level_is_a_share(level):
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        interval(MetricByUser.mean_over_users(np.array([0.1, 0.2])), level=level)


def test_a_hundred_thousand_users_are_joined_without_changing_the_width():
    values = np.random.default_rng(8).random(100_000)

    found = interval(MetricByUser.mean_over_users(values))

    assert (found.high - found.low) / (2 * 1.96 * values.std() / math.sqrt(len(values))) == pytest.approx(1, abs=0.1)
    assert found.value == pytest.approx(values.mean())
