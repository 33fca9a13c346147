import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import normal_power

from recommender_assets.experiments.power import (
    achieved_power,
    clustered_click_variances,
    days_needed,
    minimum_detectable_effect,
    proportion_variances,
    sequential_users_per_arm,
    users_per_arm,
)

effects, powers, levels = st.floats(0.01, 0.3), st.floats(0.5, 0.99), st.floats(0.001, 0.2)


def test_the_documented_example() -> None:
    assert users_per_arm(proportion_variances(0.10, 0.02), 0.02, 0.95, 0.05) == 6355


@given(st.floats(0.05, 0.6), effects, powers, levels)
def test_the_planned_users_reach_the_planned_power_and_one_less_does_not(
    baseline: float, effect: float, power: float, level: float
) -> None:
    variances = proportion_variances(baseline, effect)
    users = users_per_arm(variances, effect, power, level)
    assert achieved_power((users, users), variances, effect, level) >= power - 1e-9
    if users > 2:
        fewer = (users - 1, users - 1)
        # The formula leaves out the wrong tail, so one user less may reach the power only by that.
        wrong_tail = level / 2
        assert achieved_power(fewer, variances, effect, level) < power + wrong_tail


@given(st.integers(2, 5000), effects, levels)
def test_the_power_agrees_with_statsmodels(users: int, effect: float, level: float) -> None:
    ours = achieved_power((users, users), (1.0, 1.0), effect, level)
    assert ours == pytest.approx(normal_power(effect, users / 2, level), abs=1e-8)


@given(st.integers(2, 10_000), st.integers(2, 10_000), powers, levels)
def test_the_minimum_detectable_effect_is_found_with_the_power(n_c: int, n_t: int, power: float, level: float) -> None:
    effect = minimum_detectable_effect((n_c, n_t), (0.2, 0.3), power, level)
    assert achieved_power((n_c, n_t), (0.2, 0.3), effect, level) == pytest.approx(power, abs=level / 2)


def test_without_spread_every_effect_is_found() -> None:
    assert achieved_power((10, 10), (0.0, 0.0), 0.1, 0.05) == 1.0


def test_looking_every_day_costs_users() -> None:
    variances = proportion_variances(0.1, 0.02)
    fixed, sequential = (plan(variances, 0.02, 0.95, 0.05) for plan in (users_per_arm, sequential_users_per_arm))
    assert 1.4 * fixed < sequential < 2.6 * fixed


def test_resembling_lists_of_a_user_are_worth_less_than_independent_ones() -> None:
    generator = np.random.default_rng(0)
    a, b = 2.0, 8.0  # correlation of two lists of one user: 1 / (a + b + 1)
    rates = generator.binomial(5, generator.beta(a, b, 200_000)) / 5
    control, _ = clustered_click_variances(a / (a + b), 0.02, 5, 1 / (a + b + 1))
    assert rates.var() == pytest.approx(control, rel=0.02)
    assert clustered_click_variances(0.2, 0.02, 1, 0.7)[0] == pytest.approx(0.16)


@given(st.integers(2, 100_000), st.integers(2, 5), st.floats(1, 1e6), st.floats(0.01, 1))
def test_the_days_bring_the_users(users: int, arms: int, traffic: float, share: float) -> None:
    days = days_needed(users, arms, traffic, share)
    assert days * traffic * share >= users * arms * (1 - 1e-12)
    assert (days - 1) * traffic * share < users * arms


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: users_per_arm((1, 1), -0.1, 0.9, 0.05), "min_effect_size"),
        (lambda: users_per_arm((1, 1), math.nan, 0.9, 0.05), "min_effect_size"),
        (lambda: users_per_arm((1, 1), 0.1, 1.0, 0.05), "statistical_power"),
        (lambda: users_per_arm((1, 1), 0.1, 0.9, 0.0), "significance_level"),
        (lambda: sequential_users_per_arm((1, 1), 0.0, 0.9, 0.05), "min_effect_size"),
        (lambda: proportion_variances(0.99, 0.02), r"baseline \+ min_effect_size must lie between 0 and 1, got 1.01"),
        (lambda: proportion_variances(0.0, 0.02), "baseline must lie"),
        (lambda: clustered_click_variances(0.1, 0.02, 0.5, 0.1), "lists_per_user"),
        (lambda: days_needed(100, 2, 0), "new_users_per_day"),
        (lambda: days_needed(100, 2, 10, 0), "traffic_share"),
        (lambda: days_needed(100, 1, 10), "at least 2 arms"),
    ],
)
def test_impossible_designs_are_refused_by_name(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
