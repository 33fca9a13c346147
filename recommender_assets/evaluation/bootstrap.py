"""Bootstrap intervals over users: how far a figure, or the difference of two models, could be chance.

Users are drawn with replacement and keep all their terms, so ratings of one user stay together. The ends are corrected
for bias and skewness (BCa: Efron 1987, "Better bootstrap confidence intervals", with the jackknife acceleration). All
metrics here are quotients of sums over users, so a resample is one row of counts times the users' sums, which is many
times faster than `scipy.stats.bootstrap`; the tests compare the two.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from recommender_assets.evaluation.interval import Interval
from recommender_assets.evaluation.metric_by_user import Float64s, MetricByUser

RESAMPLES = 1_000
LEVEL = 0.95

_MOST_ROWS = 4_000
_LEAST_USERS = 2

Statistic = Callable[[Float64s], Float64s]
"""(m, c) sums of c columns -> (m,) values of the statistic."""


def interval(metric: MetricByUser, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """Interval of one metric.

    Args:
        metric: what the users contribute.
        seed: fixes the resamples, so the same input gives the same interval.
        resamples: how many; the ends vary by about 4 % of the interval's width at 1,000.
        level: share of such intervals that contain the truth.
    """

    def statistic(sums: Float64s) -> Float64s:
        return metric.of_sums(sums[:, 0], sums[:, 1])

    columns = np.column_stack([metric.total, metric.count])
    return _interval(columns[metric.count > 0], statistic, seed, resamples, level)


def paired_difference(
    left: MetricByUser, right: MetricByUser, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """Interval of `left - right`, both measured on the same users and pairs: what they share cancels out.

    Args:
        left: one model.
        right: the other.
        seed: fixes the resamples.
        resamples: how many.
        level: share of such intervals that contain the truth.

    Raises:
        ValueError: the two were not measured on the same users and pairs.
    """
    if left.is_root != right.is_root or not np.array_equal(left.count, right.count):
        raise ValueError("the models were not measured on the same users and pairs, so their figures cannot be paired")

    def statistic(sums: Float64s) -> Float64s:
        return left.of_sums(sums[:, 0], sums[:, 2]) - right.of_sums(sums[:, 1], sums[:, 2])

    columns = np.column_stack([left.total, right.total, left.count])
    return _interval(columns[left.count > 0], statistic, seed, resamples, level)


def _interval(rows: Float64s, statistic: Statistic, seed: int, resamples: int, level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    total = rows.sum(axis=0, keepdims=True)
    value = float(statistic(total)[0])
    if len(rows) < _LEAST_USERS:
        return Interval(value, float("nan"), float("nan"))
    rows = _grouped(rows, seed)
    resampled = np.sort(statistic(_times_drawn(len(rows), seed, resamples) @ rows))
    low, high = np.quantile(resampled, _corrected_levels(resampled, value, statistic(total - rows), level))
    return Interval(value, float(low), float(high))


def _grouped(rows: Float64s, seed: int) -> Float64s:
    """At most 4,000 rows: more users are joined at random, which bounds the cost and changes no expected width."""
    if len(rows) <= _MOST_ROWS:
        return rows
    shuffled = rows[np.random.default_rng(seed).permutation(len(rows))]
    starts = np.linspace(0, len(rows), _MOST_ROWS, endpoint=False).astype(np.int64)
    return np.asarray(np.add.reduceat(shuffled, starts, axis=0))


@lru_cache(maxsize=2)  # many metrics are measured on the same users
def _times_drawn(n: int, seed: int, resamples: int) -> Float64s:
    """(resamples, n) how often each of n rows was drawn when n were drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def _corrected_levels(resampled: Float64s, value: float, left_out: Float64s, level: float) -> Float64s:
    """(2,) quantiles of the resampled values that end the BCa interval.

    Args:
        resampled: values of the statistic.
        value: the statistic of the data.
        left_out: the statistic without each of the rows.
        level: of the interval.
    """
    tails = ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    below = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2
    bias = ndtri(np.clip(below, 1 / (2 * len(resampled)), 1 - 1 / (2 * len(resampled))))
    deviation = np.nanmean(left_out) - left_out
    spread = np.nansum(deviation**2) ** 1.5
    acceleration = np.nansum(deviation**3) / (6 * spread) if spread > 0 else 0.0
    shifted = bias + tails
    return np.asarray(ndtr(bias + shifted / (1 - acceleration * shifted)))
