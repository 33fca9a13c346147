"""Mean absolute error of predicted ratings (Herlocker et al. 2004): its terms."""

import numpy as np
from numpy.typing import NDArray


def absolute_errors(predicted: NDArray[np.floating], actual: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) |predicted - actual|."""
    return np.abs(predicted.astype(np.float64) - actual)
