import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.experiments.arm_moments import arm_moments

per_user = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=2, max_size=40)


def test_without_a_denominator_the_metric_is_the_mean_and_its_variance_the_sample_variance() -> None:
    values = np.array([0.5, 2.0, 3.5, 1.0])
    arm = arm_moments(values)
    assert arm.rate == pytest.approx(values.mean())
    assert arm.variance == pytest.approx(values.var(ddof=1))
    assert arm.standard_error == pytest.approx(values.std(ddof=1) / 2)


@given(per_user)
def test_a_ratio_divides_sums_not_users(rows: list[tuple[int, int]]) -> None:
    top, bottom = np.array(rows, dtype=float).T
    assert arm_moments(top, bottom).rate == pytest.approx(top.sum() / bottom.sum())


@given(per_user)
def test_the_variance_is_that_of_the_linearised_users(rows: list[tuple[int, int]]) -> None:
    top, bottom = np.array(rows, dtype=float).T
    linear = (top - top.sum() / bottom.sum() * bottom) / bottom.mean()
    assert arm_moments(top, bottom).variance == pytest.approx(linear.var(ddof=1), abs=1e-9)


def test_the_error_of_a_ratio_is_what_repeated_draws_show() -> None:
    generator = np.random.default_rng(0)
    rates, errors = [], []
    for _ in range(600):
        lists = generator.integers(1, 12, 400)
        clicks = generator.binomial(lists, generator.beta(2, 8, 400))
        arm = arm_moments(clicks, lists)
        rates.append(arm.rate)
        errors.append(arm.standard_error)
    assert np.std(rates) == pytest.approx(np.mean(errors), rel=0.08)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [([0, 1, 1], None, True), ([0, 1, 1], [1, 1, 1], True), ([0, 2, 1], None, False), ([0, 1, 1], [1, 2, 1], False)],
)
def test_one_trial_that_succeeds_or_not_is_recognised(
    numerator: list[int], denominator: list[int] | None, *, expected: bool
) -> None:
    assert arm_moments(numerator, denominator).bernoulli is expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0],), "at least 2 users"),
        (([1.0, 2.0], [1.0]), "one value per user"),
        (([1.0, np.nan],), "finite"),
        (([1.0, 2.0], [0.0, 0.0]), "sum to 0"),
    ],
)
def test_arms_that_cannot_be_judged_are_refused(arguments: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arm_moments(*arguments)
