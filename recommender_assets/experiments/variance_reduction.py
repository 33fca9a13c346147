"""CUPED: what users did before the experiment explains part of how they differ in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.experiments.arm_moments import ArmMoments, quadratic_form, ratio_gradient


@dataclass(frozen=True)
class Adjustment:
    """The metric of both arms, and the variance of a user's contribution to it, with the pre-period's part removed."""

    control: float
    treatment: float
    control_variance: float
    treatment_variance: float


def adjust(control: ArmMoments, treatment: ArmMoments) -> Adjustment:
    """Remove what the same metric before the experiment explains; without a pre-period nothing changes.

    Deng, Xu, Kohavi, Walker (WSDM 2013), "Improving the Sensitivity of Online Controlled Experiments by Utilizing
    Pre-Experiment Data": y - theta (x - mean x), theta = cov(y, x) / var(x) over both arms; here y and x are the users'
    contributions to ratios by the delta method.
    """
    both = _together(control, treatment) if control.has_pre_period and treatment.has_pre_period else None
    if both is None or min(arm.mean[3] for arm in (control, treatment)) <= 0:
        return Adjustment(control.rate, treatment.rate, control.variance, treatment.variance)
    outcome, pre = both.gradient, _pre_gradient(both)
    pre_variance = quadratic_form(pre, both.covariance[2:, 2:])
    theta = float(outcome @ both.covariance[:2, 2:] @ pre) / pre_variance if pre_variance > 0 else 0.0
    rates = [arm.rate - theta * (_pre_rate(arm) - _pre_rate(both)) for arm in (control, treatment)]
    variances = [
        quadratic_form(np.concatenate([arm.gradient, -theta * _pre_gradient(arm)]), arm.covariance)
        for arm in (control, treatment)
    ]
    return Adjustment(rates[0], rates[1], variances[0], variances[1])


def _together(one: ArmMoments, other: ArmMoments) -> ArmMoments:
    """Moments of both arms as one sample (Chan, Golub, LeVeque 1979)."""
    users = one.users + other.users
    apart = other.mean - one.mean
    scatter = (one.users - 1) * one.covariance + (other.users - 1) * other.covariance
    scatter = scatter + np.outer(apart, apart) * (one.users * other.users / users)
    mean = (one.users * one.mean + other.users * other.mean) / users
    return ArmMoments(users, mean, scatter / (users - 1), bernoulli=False)


def _pre_rate(arm: ArmMoments) -> float:
    return float(arm.mean[2] / arm.mean[3])


def _pre_gradient(arm: ArmMoments) -> NDArray[np.float64]:
    return ratio_gradient(arm.mean[2], arm.mean[3])
