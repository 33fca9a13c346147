"""Which of two interleaved rankers users prefer."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Preference:
    """How often users preferred the treatment.

    Attributes:
        preference: mean over users of +1 (more clicks on treatment's items), -1 or 0; above 0 the treatment wins.
        interval: confidence interval of it.
        p_value: two-sided, of no preference.
        users: users that clicked at all.
    """

    preference: float
    interval: tuple[float, float]
    p_value: float
    users: int


def preference(control_clicks: ArrayLike, treatment_clicks: ArrayLike, significance_level: float) -> Preference:
    """Compare the clicks on both teams' items, users being the independent units.

    The credit of Chapelle, Joachims, Radlinski, Yue (TOIS 2012), "Large-scale Validation and Analysis of Interleaved
    Search Evaluation", per user instead of per query, tested with a t-test against 0.

    Args:
        control_clicks: shape (users,), clicks on items that control placed.
        treatment_clicks: shape (users,), clicks on items that the treatment placed.
        significance_level: two-sided.

    Raises:
        ValueError: counts that are negative or of different length.
    """
    a, b = np.asarray(control_clicks, dtype=np.float64), np.asarray(treatment_clicks, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"both teams need one count per user, got shapes {a.shape} and {b.shape}")
    if (a < 0).any() or (b < 0).any():
        raise ValueError("clicks must not be negative")
    credit = np.sign(b - a)[(a > 0) | (b > 0)]
    users = len(credit)
    if users < 2:
        return Preference(0.0, (-1.0, 1.0), 1.0, users)
    mean, error = float(credit.mean()), float(credit.std(ddof=1)) / math.sqrt(users)
    if error == 0:
        # Every user agreed: the sign test still knows how likely that is by chance.
        p_value = 1.0 if mean == 0 else min(1.0, 2.0 ** (1 - users))
        return Preference(mean, (mean, mean), p_value, users)
    half = float(stats.t.isf(significance_level / 2, users - 1)) * error
    return Preference(mean, (mean - half, mean + half), float(2 * stats.t.sf(abs(mean) / error, users - 1)), users)
