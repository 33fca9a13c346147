"""A metric taken apart by user, which is what an interval of it needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MetricByUser:
    """What every user contributes to one metric, whose value is the sum of `total` over the sum of `count`.

    Attributes:
        total: (n_users,) sum of the user's terms; 0 for a user who does not qualify.
        count: (n_users,) number of the user's terms; 0 for a user who does not qualify.
        is_root: whether the metric is the square root of that quotient, as the RMSE is.
    """

    total: Float64s
    count: Float64s
    is_root: bool = False

    @classmethod
    def mean_over_users(cls, values: NDArray[np.floating]) -> "MetricByUser":
        """A metric that is the mean of one value per user, (n_users,), NaN where it is undefined."""
        defined = ~np.isnan(values)
        return cls(total=np.where(defined, values, 0.0).astype(np.float64), count=defined.astype(np.float64))

    @classmethod
    def over_pairs(
        cls, user: NDArray[np.integer], terms: NDArray[np.floating], n_users: int, *, is_root: bool = False
    ) -> "MetricByUser":
        """A metric that is the mean (or its root) of one term per (user, item) pair, all pairs alike.

        Args:
            user: (n,) user index of each pair.
            terms: (n,) for example squared errors.
            n_users: number of users.
            is_root: see the class.
        """
        return cls(
            total=np.bincount(user, terms, minlength=n_users).astype(np.float64),
            count=np.bincount(user, minlength=n_users).astype(np.float64),
            is_root=is_root,
        )

    @property
    def value(self) -> float:
        """The metric; NaN if no user qualifies."""
        return float(self.of_sums(self.total.sum(), self.count.sum()))

    @property
    def n_qualifying(self) -> int:
        """Users who contribute."""
        return int(np.count_nonzero(self.count))

    def of_sums(self, total: Float64s | np.float64, count: Float64s | np.float64) -> Float64s:
        """The metric for sums of `total` and `count`, element by element; NaN where `count` is 0."""
        total, count = np.asarray(total), np.asarray(count)
        quotient = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        # Rounding may leave a sum of squares, resampled or with a user left out, just below zero.
        values: Float64s = np.sqrt(np.maximum(quotient, 0.0)) if self.is_root else quotient
        return values
