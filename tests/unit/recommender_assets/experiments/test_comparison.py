import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_effectsize, proportions_ztest

from recommender_assets.experiments.arm_moments import arm_moments
from recommender_assets.experiments.comparison import compare


def users(seed: int, size: int, rate: float) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    taste = generator.beta(20 * rate, 20 * (1 - rate), size)
    lists, before = generator.integers(1, 9, size), generator.integers(1, 9, size)
    return pd.DataFrame(
        {
            "clicks": generator.binomial(lists, taste),
            "lists": lists,
            "clicks_before": generator.binomial(before, taste),
            "lists_before": before,
        }
    )


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 400), st.integers(0, 400))
def test_proportions_agree_with_statsmodels(n_c: int, n_t: int, k_c: int, k_t: int) -> None:
    n_c, n_t = n_c + 2, n_t + 2
    k_c, k_t = min(k_c, n_c), min(k_t, n_t)
    found = compare(arm_moments(np.arange(n_c) < k_c), arm_moments(np.arange(n_t) < k_t), 0.05)
    if 0 < k_c + k_t < n_c + n_t:
        _, p_value = proportions_ztest([k_t, k_c], [n_t, n_c])
        assert found.p_value == pytest.approx(p_value, abs=1e-8)
    else:
        assert found.p_value == 1.0
    expected = confint_proportions_2indep(k_t, n_t, k_c, n_c, method="newcomb")
    assert found.interval == pytest.approx(expected, abs=1e-8)
    assert found.effect_size == pytest.approx(proportion_effectsize(k_t / n_t, k_c / n_c), abs=1e-8)


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 60))
def test_means_agree_with_scipy(seed: int, n_c: int, n_t: int) -> None:
    generator = np.random.default_rng(seed)
    control, treatment = generator.normal(3, 1, n_c), generator.normal(3.2, 2, n_t)
    found = compare(arm_moments(control), arm_moments(treatment), 0.05)
    expected = stats.ttest_ind(treatment, control, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-8)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-8)
    assert found.method == "Welch's t-test"


@pytest.mark.parametrize("pre_period", [False, True])
def test_ratios_and_cuped_agree_with_tea_tasting(*, pre_period: bool) -> None:
    data = pd.concat([users(1, 700, 0.2).assign(variant=0), users(2, 800, 0.24).assign(variant=1)], ignore_index=True)
    covariates = ("clicks_before", "lists_before") if pre_period else (None, None)
    metric = tt.RatioOfMeans("clicks", "lists", *covariates)
    expected = tt.Experiment(ctr=metric).analyze(data)["ctr"]
    arms = [
        arm_moments(arm["clicks"], arm["lists"], (arm["clicks_before"], arm["lists_before"]) if pre_period else None)
        for _, arm in data.groupby("variant")
    ]
    found = compare(arms[0], arms[1], 0.05)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-8)
    assert found.difference == pytest.approx(expected.effect_size, abs=1e-8)
    assert found.interval == pytest.approx((expected.effect_size_ci_lower, expected.effect_size_ci_upper), abs=1e-8)
    assert found.lift == pytest.approx(expected.rel_effect_size, abs=1e-8)


def test_the_lift_is_relative_and_lies_in_its_interval() -> None:
    found = compare(arm_moments(np.arange(1000) < 100), arm_moments(np.arange(1000) < 120), 0.05)
    assert found.lift == pytest.approx(0.2)
    assert found.lift_interval is not None
    assert found.lift_interval[0] < 0.2 < found.lift_interval[1]


def test_intervals_of_lists_ignore_that_a_users_lists_resemble_each_other_only_in_the_wrong_test() -> None:
    control, treatment = users(3, 2_000, 0.2), users(4, 2_000, 0.2)
    found = compare(
        arm_moments(control["clicks"], control["lists"]), arm_moments(treatment["clicks"], treatment["lists"]), 0.05
    )
    lists = np.array([treatment["lists"].sum(), control["lists"].sum()])
    pooled = (control["clicks"].sum() + treatment["clicks"].sum()) / lists.sum()
    assert found.standard_error > 1.05 * np.sqrt(pooled * (1 - pooled) * (1 / lists).sum())


def test_cuped_removes_the_variance_that_the_pre_period_explains() -> None:
    generator = np.random.default_rng(5)
    taste = generator.normal(0, 1, (2, 20_000))
    before, after = taste + generator.normal(0, 1, taste.shape), taste + generator.normal(0, 1, taste.shape)
    ones = np.ones(taste.shape[1])
    arms = [arm_moments(after[arm] + 5, ones, (before[arm] + 5, ones)) for arm in (0, 1)]
    # The correlation of two noisy views of one taste is 1/2, so a quarter of the variance goes (Deng et al. 2013).
    assert compare(arms[0], arms[1], 0.05).variance_removed == pytest.approx(0.25, abs=0.015)


def test_a_pre_period_without_any_list_changes_nothing() -> None:
    arm = users(6, 50, 0.3)
    zero = np.zeros(50)
    plain = arm_moments(arm["clicks"], arm["lists"])
    empty = arm_moments(arm["clicks"], arm["lists"], (zero, zero))
    assert compare(empty, empty, 0.05).standard_error == pytest.approx(compare(plain, plain, 0.05).standard_error)


@pytest.mark.parametrize(
    ("control", "treatment", "p_value"),
    [([0, 0, 0], [0, 0, 0], 1.0), ([1, 1, 1], [1, 1, 1], 1.0), ([2, 2], [3, 3], 0.0)],
)
def test_arms_without_any_spread_have_a_defined_result(
    control: list[int], treatment: list[int], p_value: float
) -> None:
    found = compare(arm_moments(control), arm_moments(treatment), 0.05)
    assert found.p_value == p_value
    assert np.isfinite(found.interval).all()


def test_without_a_click_in_control_there_is_no_lift() -> None:
    found = compare(arm_moments(np.zeros(50)), arm_moments(np.arange(50) < 5), 0.05)
    assert found.lift is None
    assert found.lift_interval is None
    assert found.difference == pytest.approx(0.1)


def test_a_control_that_may_be_zero_has_no_interval_of_the_lift() -> None:
    generator = np.random.default_rng(0)
    around_zero = generator.normal(0.01, 1, 100)
    found = compare(arm_moments(around_zero - around_zero.mean() + 1e-9), arm_moments(around_zero + 1), 0.05)
    assert found.lift_interval is None
