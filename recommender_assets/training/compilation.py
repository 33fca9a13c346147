"""How numerical kernels are compiled: to machine code that is cached on disk and releases the GIL."""

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., object])
Scalar = TypeVar("Scalar", bound=np.generic)

# Lets loops be vectorised, while NaN and infinity keep their meaning. The order of additions is fixed when compiled.
_FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


def kernel(function: Function) -> Function:
    """Compile on first call, for the types of that call; later processes load the compiled code."""
    return cast("Function", njit(cache=True, nogil=True, fastmath=_FAST_MATH)(function))


def writable(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The array itself, or a copy of a read-only one: kernels are compiled once, for writable arrays."""
    return np.require(array, requirements=["C", "W"])
