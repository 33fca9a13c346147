"""What the analysis needs of an arm: the number of its users and the moments of what each of them did.

A metric is a ratio of two sums over users, numerator by denominator: clicks by served lists (`ctr`), rating sum by
ratings (`mean_rating`), or one outcome by one user (`conversion`). Users were randomised, so users are the independent
units: a user's lists are not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ArmMoments:
    """Moments over the users of one arm.

    Attributes:
        users: number of users.
        mean: shape (2,) or (4,): numerator, denominator and, with a pre-period, the same two before the experiment.
        covariance: the sample covariance of those columns, divisor `users - 1`.
        bernoulli: whether each user had exactly one trial, which succeeded or not.
    """

    users: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    bernoulli: bool

    @property
    def has_pre_period(self) -> bool:
        """Whether outcomes from before the experiment are known."""
        return len(self.mean) == 4

    @property
    def rate(self) -> float:
        """The metric: sum of numerators by sum of denominators."""
        return float(self.mean[0] / self.mean[1])

    @property
    def gradient(self) -> NDArray[np.float64]:
        """Shape (2,): derivative of the metric by the means of numerator and denominator."""
        return ratio_gradient(self.mean[0], self.mean[1])

    @property
    def variance(self) -> float:
        """Variance of one user's contribution to the metric; divided by `users` it is the metric's own.

        The delta method for ratios: Deng, Knoblich, Lu (KDD 2018), "Applying the Delta Method in Metric Analytics",
        equation 4. With a denominator of one per user it is the plain sample variance.
        """
        return quadratic_form(self.gradient, self.covariance[:2, :2])

    @property
    def standard_error(self) -> float:
        """Standard error of the metric."""
        return float(np.sqrt(self.variance / self.users))


def arm_moments(
    numerator: ArrayLike, denominator: ArrayLike | None = None, pre_period: tuple[ArrayLike, ArrayLike] | None = None
) -> ArmMoments:
    """Moments of one arm from one value per user.

    Args:
        numerator: shape (users,), what is counted or summed per user.
        denominator: shape (users,), what it is divided by; one per user if left out.
        pre_period: numerator and denominator of the same users before the experiment began.

    Raises:
        ValueError: fewer than two users, columns of different length, a value that is not finite, or denominators
            that sum to 0.
    """
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.ones_like(top) if denominator is None else np.asarray(denominator, dtype=np.float64)
    columns = [top, bottom]
    if pre_period is not None:
        columns += [np.asarray(column, dtype=np.float64) for column in pre_period]
    lengths = [column.shape for column in columns]
    if len(set(lengths)) > 1 or top.ndim != 1:
        raise ValueError(f"an arm needs one value per user in every column, got shapes {lengths}")
    if len(top) < 2:
        raise ValueError(f"an arm needs at least 2 users to say how much they differ, got {len(top)}")
    values = np.stack(columns)
    if not np.isfinite(values).all():
        raise ValueError("outcomes must be finite numbers")
    if not values[1].sum() > 0:
        raise ValueError("the denominators of an arm sum to 0: the metric is not defined")
    bernoulli = bool(np.all(bottom == 1) and np.all((top == 0) | (top == 1)))
    return ArmMoments(len(top), values.mean(axis=1), np.atleast_2d(np.cov(values)), bernoulli)


def ratio_gradient(numerator: float, denominator: float) -> NDArray[np.float64]:
    """Derivative of numerator / denominator by both, shape (2,)."""
    return np.array([1 / denominator, -numerator / denominator**2])


def quadratic_form(direction: NDArray[np.float64], matrix: NDArray[np.float64]) -> float:
    """`d' M d`, never below zero."""
    return max(float(direction @ matrix @ direction), 0.0)
