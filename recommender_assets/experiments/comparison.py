"""Two arms compared once, at a horizon fixed beforehand."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from recommender_assets.experiments.arm_moments import ArmMoments
from recommender_assets.experiments.variance_reduction import Adjustment, adjust

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Treatment against control in one metric.

    Attributes:
        control: the metric in the control arm.
        treatment: the metric in the treatment arm.
        difference: treatment minus control; after variance reduction it is not exactly that of the two rates.
        standard_error: of the difference.
        interval: confidence interval of the difference.
        lift: difference relative to control, None where control is 0.
        lift_interval: confidence interval of the lift, None where it is not defined.
        p_value: two-sided, of no difference.
        effect_size: Cohen's h for one yes-or-no outcome per user, else Cohen's d.
        method: the name of the test.
        variance_removed: share of the variance that pre-period data explained, None without such data.
    """

    control: float
    treatment: float
    difference: float
    standard_error: float
    interval: Interval
    lift: float | None
    lift_interval: Interval | None
    p_value: float
    effect_size: float
    method: str
    variance_removed: float | None = None


def compare(control: ArmMoments, treatment: ArmMoments, significance_level: float) -> Comparison:
    """Compare two arms by the test that fits their outcomes.

    One yes-or-no outcome per user: z-test with pooled variance, Newcombe's interval. Everything else: Welch's t-test
    on the users' contributions by the delta method, adjusted by pre-period data where both arms have it.

    Args:
        control: what users did without the change.
        treatment: what users did with it.
        significance_level: the share of false alarms that is accepted, two-sided; intervals have level 1 minus it.
    """
    if control.bernoulli and treatment.bernoulli and not control.has_pre_period:
        return _compare_proportions(control, treatment, significance_level)
    return _compare_means(control, treatment, significance_level)


def _compare_proportions(control: ArmMoments, treatment: ArmMoments, level: float) -> Comparison:
    p_c, p_t = control.rate, treatment.rate
    n_c, n_t = control.users, treatment.users
    difference = p_t - p_c
    pooled = (p_c * n_c + p_t * n_t) / (n_c + n_t)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_t))
    z = stats.norm.isf(level / 2)
    return Comparison(
        control=p_c,
        treatment=p_t,
        difference=difference,
        standard_error=error,
        interval=_newcombe(control, treatment, z),
        lift=_lift(difference, p_c),
        lift_interval=_lift_interval(p_c, control.standard_error, p_t, treatment.standard_error, z),
        p_value=float(2 * stats.norm.sf(abs(difference) / error)) if error > 0 else 1.0,
        effect_size=2 * (math.asin(math.sqrt(p_t)) - math.asin(math.sqrt(p_c))),
        method="two-proportion z-test",
    )


def _compare_means(control: ArmMoments, treatment: ArmMoments, level: float) -> Comparison:
    adjusted = adjust(control, treatment)
    share_c, share_t = adjusted.control_variance / control.users, adjusted.treatment_variance / treatment.users
    error = math.sqrt(share_c + share_t)
    difference = adjusted.treatment - adjusted.control
    quantile, p_value = _welch(difference, (share_c, share_t), (control.users, treatment.users), level)
    return Comparison(
        control=control.rate,
        treatment=treatment.rate,
        difference=difference,
        standard_error=error,
        interval=(difference - quantile * error, difference + quantile * error),
        lift=_lift(difference, adjusted.control),
        lift_interval=_lift_interval(
            adjusted.control, math.sqrt(share_c), adjusted.treatment, math.sqrt(share_t), quantile
        ),
        p_value=p_value,
        effect_size=_cohens_d(control, treatment, difference),
        method=_method(control, treatment),
        variance_removed=_variance_removed(control, treatment, adjusted)
        if _has_pre_period(control, treatment)
        else None,
    )


def _welch(difference: float, shares: Interval, users: tuple[int, int], level: float) -> tuple[float, float]:
    """Quantile and two-sided p-value of Welch's t-test (1947); `shares` are the variances of the arms' metrics."""
    variance = sum(shares)
    if variance == 0:
        return 0.0, 1.0 if difference == 0 else 0.0
    freedom = variance**2 / sum(share**2 / (n - 1) for share, n in zip(shares, users, strict=True))
    return float(stats.t.isf(level / 2, freedom)), float(2 * stats.t.sf(abs(difference) / math.sqrt(variance), freedom))


def _has_pre_period(control: ArmMoments, treatment: ArmMoments) -> bool:
    return control.has_pre_period and treatment.has_pre_period


def _method(control: ArmMoments, treatment: ArmMoments) -> str:
    varies = any(arm.covariance[1, 1] > 0 or arm.mean[1] != 1 for arm in (control, treatment))
    ratio = " of ratios by the delta method" if varies else ""
    return f"Welch's t-test{ratio}{', CUPED' if _has_pre_period(control, treatment) else ''}"


def _newcombe(control: ArmMoments, treatment: ArmMoments, z: float) -> Interval:
    """Interval of a difference of proportions from Wilson's: Newcombe (1998), Statistics in Medicine 17, method 10."""
    low_c, high_c = _wilson(control, z)
    low_t, high_t = _wilson(treatment, z)
    difference = treatment.rate - control.rate
    return (
        difference - math.hypot(treatment.rate - low_t, high_c - control.rate),
        difference + math.hypot(high_t - treatment.rate, control.rate - low_c),
    )


def _wilson(arm: ArmMoments, z: float) -> Interval:
    """Wilson (1927): the proportions that a score test of this arm would not reject."""
    n, p = arm.users, arm.rate
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def _lift(difference: float, control: float) -> float | None:
    return difference / control if control != 0 else None


def _lift_interval(
    control: float, error_c: float, treatment: float, error_t: float, quantile: float
) -> Interval | None:
    """Interval of treatment / control - 1, by the delta method on the logarithm; both have to be surely above 0."""
    if control <= quantile * error_c or treatment <= quantile * error_t:
        return None
    half = quantile * math.sqrt((error_c / control) ** 2 + (error_t / treatment) ** 2)
    ratio = treatment / control
    return ratio * math.exp(-half) - 1, ratio * math.exp(half) - 1


def _cohens_d(control: ArmMoments, treatment: ArmMoments, difference: float) -> float:
    """Difference in pooled standard deviations of a user's contribution, before variance reduction (Cohen 1988)."""
    weights = np.array([control.users - 1, treatment.users - 1])
    pooled = float(np.average([control.variance, treatment.variance], weights=weights))
    return difference / math.sqrt(pooled) if pooled > 0 else 0.0


def _variance_removed(control: ArmMoments, treatment: ArmMoments, adjustment: Adjustment) -> float:
    before = control.variance / control.users + treatment.variance / treatment.users
    after = adjustment.control_variance / control.users + adjustment.treatment_variance / treatment.users
    return 1 - after / before if before > 0 else 0.0
