"""A figure of the training benchmark, and how its time is taken."""

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

Result = TypeVar("Result")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One trainer's time in seconds, and its error on the held-out ratings (None for rankings)."""

    trainer: str
    seconds: float
    rmse: float | None = None


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
