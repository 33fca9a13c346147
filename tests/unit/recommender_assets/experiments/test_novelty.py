import numpy as np
import pytest
from scipy import stats
from statsmodels.api import WLS

from recommender_assets.experiments.arm_moments import arm_moments
from recommender_assets.experiments.comparison import Comparison, compare
from recommender_assets.experiments.novelty import effect_trend


def days(seed: int, effects: list[float], users: int = 400) -> list[Comparison]:
    generator = np.random.default_rng(seed)
    return [
        compare(arm_moments(generator.normal(0, 1, users)), arm_moments(generator.normal(effect, 1, users)), 0.05)
        for effect in effects
    ]


def test_a_fading_effect_is_seen() -> None:
    trend = effect_trend(range(10), days(0, list(np.linspace(0.6, 0.0, 10))))
    assert trend is not None
    assert trend.slope == pytest.approx(-0.6 / 9, abs=0.03)
    assert trend.p_value < 0.001


def test_a_steady_effect_is_none() -> None:
    p_values = [trend.p_value for seed in range(200) if (trend := effect_trend(range(6), days(seed, [0.3] * 6, 60)))]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_the_slope_is_that_of_weighted_least_squares() -> None:
    comparisons = days(3, [0.1, 0.5, 0.2, 0.4])
    design = np.column_stack([np.ones(4), [0, 1, 2, 5]])
    weights = [comparison.standard_error**-2 for comparison in comparisons]
    expected = WLS([comparison.difference for comparison in comparisons], design, weights=weights).fit().params[1]
    trend = effect_trend([0, 1, 2, 5], comparisons)
    assert trend is not None
    assert trend.slope == pytest.approx(expected)


def test_two_days_are_no_trend() -> None:
    assert effect_trend([0, 1], days(0, [0.1, 0.2])) is None
    assert effect_trend([4, 4, 4], days(0, [0.1, 0.2, 0.1])) is None
