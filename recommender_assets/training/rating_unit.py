"""What one star is on the scale of a set of ratings, so that hyper-parameters mean the same on every scale."""

import numpy as np
from numpy.typing import NDArray

_MOST_STARS = 5.0
_STARS_APART = 4.0  # between the worst and the best of five


def star_unit(rating: NDArray[np.floating]) -> float:
    """1 for ratings inside 0..5, else a quarter of the distance between the lowest and the highest one.

    Args:
        rating: (n,), NaN where there is none; at least one number.
    """
    lowest, highest = float(np.nanmin(rating)), float(np.nanmax(rating))
    if (lowest >= 0 and highest <= _MOST_STARS) or lowest == highest:
        return 1.0
    return (highest - lowest) / _STARS_APART
