import numpy as np
import pytest
from scipy import stats

from recommender_assets.experiments.interleaving_preference import preference


def test_it_is_the_mean_of_the_users_who_clicked() -> None:
    found = preference([0, 1, 2, 0, 0], [0, 3, 1, 1, 2], 0.05)
    assert found.users == 4
    assert found.preference == pytest.approx((1 - 1 + 1 + 1) / 4)
    expected = stats.ttest_1samp([1, -1, 1, 1], 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_it_is_calibrated_without_a_difference() -> None:
    generator = np.random.default_rng(0)
    draws = (generator.poisson(0.7, (2, 300)) for _ in range(1_000))
    alarms = np.mean([preference(one, other, 0.05).p_value < 0.05 for one, other in draws])
    assert 0.03 < alarms < 0.07


@pytest.mark.parametrize(("clicks", "p_value"), [([], 1.0), ([3], 1.0), ([1, 2, 1, 4], 0.125)])
def test_few_or_unanimous_users_have_a_defined_result(clicks: list[int], p_value: float) -> None:
    assert preference([0] * len(clicks), clicks, 0.05).p_value == pytest.approx(p_value)


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="one count per user"):
        preference([1, 2], [1], 0.05)
    with pytest.raises(ValueError, match="negative"):
        preference([-1, 2], [1, 1], 0.05)
