import numpy as np
import pytest
from scipy import stats

from recommender_assets.experiments.sample_ratio import ALARM_LEVEL, sample_ratio_p_value

HALVES = {"control": 0.5, "treatment": 0.5}


def test_a_49_51_split_of_100000_users_raises_the_alarm() -> None:
    assert sample_ratio_p_value({"control": 49_000, "treatment": 51_000}, HALVES) < ALARM_LEVEL


def test_the_planned_split_does_not() -> None:
    assert sample_ratio_p_value({"control": 50_100, "treatment": 49_900}, HALVES) > 0.5
    assert sample_ratio_p_value({"control": 9_000, "treatment": 1_000}, {"control": 9, "treatment": 1}) == 1.0


def test_it_is_calibrated() -> None:
    draws = np.random.default_rng(0).binomial(2_000, 0.5, 1_000)
    p_values = [sample_ratio_p_value({"control": n, "treatment": 2_000 - n}, HALVES) for n in draws]
    assert stats.kstest(p_values, "uniform").statistic < 0.06


def test_nobody_is_no_mismatch() -> None:
    assert sample_ratio_p_value({"control": 0, "treatment": 0}, HALVES) == 1.0


@pytest.mark.parametrize(
    ("users", "shares"),
    [({"control": 1}, HALVES), ({"control": -1, "treatment": 1}, HALVES), ({"a": 1, "b": 1}, {"a": 0.0, "b": 1.0})],
)
def test_counts_that_cannot_be_are_refused(users: dict[str, int], shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"arms|positive"):
        sample_ratio_p_value(users, shares)
