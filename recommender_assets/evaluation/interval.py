"""A figure with its confidence interval."""

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A figure and its confidence interval.

    Attributes:
        value: the figure itself; NaN if no user qualifies.
        low, high: ends of the interval; NaN with fewer than two qualifying users.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0
