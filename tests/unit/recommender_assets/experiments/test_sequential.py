import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.experiments.sequential import boundary_for

LEVEL = 0.05


def excluded_share(looks: int, effect: float = 0.0, runs: int = 2_000) -> float:
    """Share of runs in which any look excludes 0: unit-variance users, 50 more at each look."""
    generator = np.random.default_rng(1)
    boundary = boundary_for(1 / math.sqrt(50 * looks / 2), LEVEL)
    users = 50 * np.arange(1, looks + 1)
    sums = generator.normal(effect * 50, math.sqrt(50), (runs, looks)).cumsum(axis=1)
    half = np.array([boundary.half_width(1 / math.sqrt(count)) for count in users])
    return float((np.abs(sums / users) > half).any(axis=1).mean())


def test_looking_a_hundred_times_keeps_the_level() -> None:
    assert excluded_share(100) <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / 2_000)


def test_a_fixed_interval_looked_at_a_hundred_times_would_not() -> None:
    generator = np.random.default_rng(1)
    users = 50 * np.arange(1, 101)
    sums = generator.normal(0, math.sqrt(50), (500, 100)).cumsum(axis=1)
    assert (np.abs(sums / np.sqrt(users)) > 1.96).any(axis=1).mean() > 0.25


def test_a_clear_effect_is_found() -> None:
    assert excluded_share(100, effect=0.1) > 0.95


@given(st.floats(-3, 3), st.floats(0.001, 10), st.floats(0.001, 10), st.floats(0.001, 0.5))
def test_the_interval_excludes_zero_exactly_when_the_p_value_is_below_the_level(
    difference: float, error: float, planned: float, level: float
) -> None:
    look = boundary_for(planned, level).look(difference, error)
    assert 0 <= look.p_value <= 1
    if abs(look.p_value - level) > 1e-9:
        assert (look.p_value < level) == (not look.interval[0] <= 0 <= look.interval[1])


@given(st.floats(0.01, 1), st.floats(0.001, 0.5))
def test_the_boundary_is_tightest_where_it_was_planned_to_be(planned: float, level: float) -> None:
    planned_there = boundary_for(planned, level).half_width(planned)
    for other in (0.5, 0.9, 1.1, 2.0):
        assert planned_there <= boundary_for(planned * other, level).half_width(planned) * (1 + 1e-12)


def test_more_information_never_widens_the_interval() -> None:
    boundary = boundary_for(0.1, LEVEL)
    widths = [boundary.half_width(error) for error in np.geomspace(10, 0.001, 200)]
    assert all(later < earlier for earlier, later in pairwise(widths))


def test_without_any_spread_nothing_is_known() -> None:
    look = boundary_for(0.1, LEVEL).look(0.5, 0.0)
    assert look.p_value == 1.0
    assert look.interval == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("planned", "level", "message"), [(0, 0.05, "planned_standard_error"), (1, 1, "significance_level")]
)
def test_impossible_plans_are_refused(planned: float, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        boundary_for(planned, level)
