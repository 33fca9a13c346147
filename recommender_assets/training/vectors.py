"""Compiled pieces that several kernels of single precision share."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.compilation import kernel

Float32s = NDArray[np.float32]


@kernel
def dot(left: Float32s, right: Float32s) -> np.float32:
    """Inner product of two vectors of one length."""
    total = np.float32(0.0)
    for f in range(left.size):
        total += left[f] * right[f]
    return total
