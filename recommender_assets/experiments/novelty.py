"""Does an effect fade, or grow, as users get used to a variant?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from recommender_assets.experiments.comparison import Comparison


@dataclass(frozen=True)
class EffectTrend:
    """Weighted straight line through the effect by day.

    Attributes:
        slope: change of the difference per day.
        p_value: two-sided, of no change over the days.
    """

    slope: float
    p_value: float


def effect_trend(days: Sequence[float], comparisons: Sequence[Comparison]) -> EffectTrend | None:
    """Trend of the daily effect, each day weighted by its precision; None with fewer than three usable days.

    The variances of the days are known, so the slope is tested against the normal distribution.

    Args:
        days: days since the user's first exposure, or since the start.
        comparisons: treatment against control within that day.
    """
    usable = [(day, c) for day, c in zip(days, comparisons, strict=True) if c.standard_error > 0]
    if len(usable) < 3:
        return None
    x = np.array([day for day, _ in usable], dtype=np.float64)
    y = np.array([comparison.difference for _, comparison in usable])
    weights = np.array([comparison.standard_error**-2 for _, comparison in usable])
    centred = x - np.average(x, weights=weights)
    information = float(weights @ centred**2)
    if information == 0:
        return None
    slope = float(weights @ (centred * y)) / information
    return EffectTrend(slope, float(2 * stats.norm.sf(abs(slope) * np.sqrt(information))))
