"""Root mean squared error of predicted ratings."""

import numpy as np
from numpy.typing import NDArray


def rmse(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> float:
    """sqrt(mean((predicted - actual)^2)) in stars, over all pairs alike; NaN without a pair.

    Args:
        predicted: (n,).
        actual: (n,).
    """
    if not len(actual):
        return float("nan")
    return float(np.sqrt(np.mean(np.square(predicted - actual), dtype=np.float64)))
