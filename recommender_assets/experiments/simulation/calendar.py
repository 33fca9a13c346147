"""Simulated days: who comes when, and what time it is for visitors while a day takes seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recommender_assets.experiments.attribution import DAY_US

# A visitor who has come once comes back on each later day with this probability.
RETURN_PROBABILITY = 0.05


@dataclass(frozen=True)
class Visit:
    """One list for one visitor; with the first one they tell the service what they like."""

    visitor: int
    is_first: bool


def visits_by_day(visitors: int, days: int, generator: np.random.Generator) -> Iterator[tuple[Visit, ...]]:
    """The visits of each day: about as many new visitors every day, and those of earlier days who come back.

    Args:
        visitors: how many different ones, all of whom come at least once.
        days: how many days.
        generator: draws who comes back.
    """
    arrival = np.arange(visitors) * days // visitors
    returns = generator.random((days, visitors)) < RETURN_PROBABILITY
    for day in range(days):
        comes = (arrival == day) | ((arrival < day) & returns[day])
        yield tuple(Visit(visitor, bool(arrival[visitor] == day)) for visitor in np.flatnonzero(comes).tolist())


def stretched(begins_us: Sequence[int], real_us: ArrayLike) -> NDArray[np.int64]:
    """Moments of real time, with every simulated day stretched to 24 hours, counted from the start of the first.

    Args:
        begins_us: when each day began, and at the end when the last one was over, in microseconds since 1970.
        real_us: moments within these days; what lies outside is moved to their edge.

    Raises:
        ValueError: no day is over, so none has a length yet.
    """
    if len(begins_us) < 2:
        raise ValueError("a simulated day has to be over before its moments can be placed in it")
    begins = np.asarray(begins_us, dtype=np.int64)
    inside = np.clip(np.asarray(real_us, dtype=np.int64), begins[0], begins[-1] - 1)
    day = np.searchsorted(begins, inside, side="right") - 1
    share = (inside - begins[day]) / np.maximum(np.diff(begins), 1)[day]
    placed: NDArray[np.int64] = begins[0] + day * DAY_US + (share * DAY_US).astype(np.int64)
    return placed
