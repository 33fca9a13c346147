"""Simulated days: who comes when, and what time it is for visitors while a day takes seconds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

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


@dataclass
class CompressedCalendar:
    """Real times at which simulated days began, in microseconds since 1970.

    Attributes:
        begins_us: start of each day so far, and at the end that of the day after the last one.
    """

    begins_us: list[int] = field(default_factory=list)

    def simulated(self, real_us: ArrayLike) -> NDArray[np.int64]:
        """The same moments with every day stretched to 24 hours, counted from the start of the first.

        Raises:
            ValueError: the days are not over, so they have no length yet.
        """
        if len(self.begins_us) < 2:
            raise ValueError("a day has to be over before its moments can be placed in it")
        real = np.asarray(real_us, dtype=np.int64)
        first, last = self.begins_us[0], self.begins_us[-1]
        places = np.searchsorted(self.begins_us, np.clip(real, first, last - 1), side="right") - 1
        begins = np.asarray(self.begins_us, dtype=np.int64)
        lengths = np.maximum(np.diff(begins), 1)
        inside = (np.clip(real, first, last - 1) - begins[places]) / lengths[places]
        return first + places * DAY_US + (inside * DAY_US).astype(np.int64)
