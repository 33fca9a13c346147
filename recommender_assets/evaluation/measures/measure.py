"""A measure: figures of scores on a split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from recommender_assets.evaluation.metric_by_user import Float64s, MetricByUser
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split


class MetricFacts(NamedTuple):
    """What a metric means, and the names of the floors (`floors.FLOORS`) that it stands next to."""

    meaning: str
    floors: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures by metric.

    Attributes:
        by_user: metrics that are a mean over users or pairs.
        of_lists: metrics of all lists together; no sample of users estimates them, so they have no interval.
        curves: metric -> value for lists of 1, 2, ... items.
    """

    by_user: Mapping[str, MetricByUser]
    of_lists: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Float64s] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Value of every metric; NaN where no user qualifies."""
        return {**{name: metric.value for name, metric in self.by_user.items()}, **self.of_lists}


@dataclass(frozen=True)
class Measure:
    """Figures of scores on a split.

    Attributes:
        name: also the prefix of its metrics where several measures meet.
        metrics: metric -> what it means.
        measure: figures of scores on a split.
    """

    name: str
    metrics: Mapping[str, MetricFacts]
    measure: Callable[[Scores, Split], Measured]
