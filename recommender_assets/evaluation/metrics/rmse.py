"""Root mean squared error of predicted ratings (Herlocker et al. 2004)."""

import numpy as np
from numpy.typing import NDArray


def squared_errors(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) (predicted - actual)^2."""
    return np.square(predicted.astype(np.float64) - actual)


def rmse(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> float:
    """sqrt(mean((predicted - actual)^2)) in stars, over all pairs alike; NaN without a pair.

    Args:
        predicted: (n,).
        actual: (n,).
    """
    return float(np.sqrt(squared_errors(predicted, actual).mean())) if len(actual) else float("nan")
