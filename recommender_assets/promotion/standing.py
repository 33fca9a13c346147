"""A model's figures on the hold-out, and which way each of them is better."""

import math

import msgspec

FOLD_IN_ERROR = "fold_in_error"
SCORING_MILLISECONDS = "scoring_milliseconds"
LOWER_IS_BETTER = frozenset({"rmse", "mae", "catalogue_gini_at_20", FOLD_IN_ERROR, SCORING_MILLISECONDS})


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A model's figures on the hold-out.

    Attributes:
        version, algorithm: of the model.
        metrics: by name.
        floors: for each metric the floors it stands next to.
        intervals: both ends of the metrics' intervals over users.
        curves: for each curve the values for lists of 1, 2, ... items, of the `model` and of its floors.
    """

    version: str
    algorithm: str
    metrics: dict[str, float]
    floors: dict[str, dict[str, float]] = {}
    intervals: dict[str, tuple[float, float]] = {}
    curves: dict[str, dict[str, list[float]]] = {}

    def measured(self, metric: str) -> float | None:
        """Value of a metric; None if it was not measured or is not finite."""
        value = self.metrics.get(metric, math.nan)
        return value if math.isfinite(value) else None


def goodness(metric: str, value: float) -> float:
    """The value, or its negative where lower is better: greater is always better."""
    return -value if metric in LOWER_IS_BETTER else value


def beats(metric: str, value: float, other: float) -> bool:
    """Whether `value` is strictly better than `other`; a value that is not finite never is."""
    return math.isfinite(value) and goodness(metric, value) > goodness(metric, other)


def beats_floor(metric: str, value: float, floor: float) -> bool:
    """Whether `value` is better than a floor; a perfect floor (all of a tiny catalogue listed) is only equalled."""
    perfect = 0.0 if metric in LOWER_IS_BETTER else 1.0
    return beats(metric, value, floor) or value == floor == perfect


def best_floor(standing: Standing, metric: str) -> tuple[str, float] | None:
    """Name and value of the floor that is hardest to beat, or None if the metric has no floor."""
    floors = standing.floors.get(metric, {})
    return max(floors.items(), key=lambda item: goodness(metric, item[1])) if floors else None
