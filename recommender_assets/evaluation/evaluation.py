"""Evaluation of models on one split by several measures: every figure with its meaning and its floors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.bootstrap import LEVEL, interval, paired_difference
from recommender_assets.evaluation.floors import measure_floors
from recommender_assets.evaluation.interval import Interval
from recommender_assets.evaluation.measures.measure import Measure, Measured
from recommender_assets.evaluation.metric_by_user import Float64s
from recommender_assets.evaluation.model_scores import model_scores
from recommender_assets.evaluation.protocols import MEASURES
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split
from recommender_assets.features.matrix import UserItemMatrix
from recommender_serving.engine.factor_model import FactorModel

DEFAULT_MEASURES = ("rating", "rerank", "catalogue")

Value = TypeVar("Value")


@dataclass(frozen=True)
class FloorFigures:
    """What needs no model, on one split.

    Attributes:
        values: metric -> floor -> value.
        curves: curve -> floor -> values.
    """

    values: dict[str, dict[str, float]]
    curves: dict[str, dict[str, Float64s]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one model. A metric's full name is `rmse`, `mae`, or begins with its measure: `rerank_map_at_10`.

    Attributes:
        measured: by full name.
        floors: on the same split.
        meanings: metric -> what it means.
    """

    measured: Measured
    floors: FloorFigures
    meanings: dict[str, str]

    @property
    def metrics(self) -> dict[str, float]:
        """Value of every metric; NaN where no user qualifies."""
        return self.measured.values

    def intervals(self, level: float = LEVEL) -> dict[str, Interval]:
        """Interval over users of every metric that is a mean over users or pairs."""
        return {name: interval(metric, level=level) for name, metric in self.measured.by_user.items()}

    def difference_to(self, other: "Evaluation", level: float = LEVEL) -> dict[str, Interval]:
        """This model minus another one, measured on the same split: paired, with the interval over users.

        Raises:
            ValueError: the two were not measured on the same split.
        """
        others = other.measured.by_user
        return {
            name: paired_difference(metric, others[name], level=level)
            for name, metric in self.measured.by_user.items()
            if name in others
        }


def evaluate(
    models: Mapping[str, FactorModel],
    matrix: UserItemMatrix,
    held_out: NDArray[np.bool_],
    measures: Iterable[str] = DEFAULT_MEASURES,
) -> dict[str, Evaluation]:
    """Measure models on held-out pairs; their users are solved again from the other pairs, so nothing leaks.

    Args:
        models: whose item factors never saw the held-out pairs; may be older than the matrix.
        matrix: users, items and observations to measure with.
        held_out: (n,) true for the observations of the hold-out.
        measures: names of `protocols.MEASURES`.
    """
    split = Split.of(matrix, held_out)
    chosen = [MEASURES[name] for name in measures]
    floors = floor_figures(split, chosen)
    return {
        name: evaluate_scores(model_scores(model, matrix, split.training), split, chosen, floors)
        for name, model in models.items()
    }


def evaluate_scores(scores: Scores, split: Split, measures: Iterable[Measure], floors: FloorFigures) -> Evaluation:
    """Measure scores; `floors` are those of the same split and measures."""
    measured = [(measure, measure.measure(scores, split)) for measure in measures]
    return Evaluation(
        Measured(
            by_user=_merged((measure, found.by_user) for measure, found in measured),
            of_lists=_merged((measure, found.of_lists) for measure, found in measured),
            curves=_merged((measure, found.curves) for measure, found in measured),
        ),
        floors,
        {full_name(m, metric): facts.meaning for m, _ in measured for metric, facts in m.metrics.items()},
    )


def floor_figures(split: Split, measures: Iterable[Measure]) -> FloorFigures:
    """Every floor that a metric of the measures stands next to."""
    figures = FloorFigures({}, {})
    for measure in measures:
        for floor, found in measure_floors(measure, split).items():
            for metric, value in found.values.items():
                figures.values.setdefault(full_name(measure, metric), {})[floor] = value
            for curve, values in found.curves.items():
                figures.curves.setdefault(full_name(measure, curve), {})[floor] = values
    return figures


def full_name(measure: Measure, metric: str) -> str:
    """Name of a metric where several measures meet; errors of ratings are what everybody calls by their bare names."""
    return metric if measure.name == "rating" else f"{measure.name}_{metric}"


def _merged(parts: Iterable[tuple[Measure, Mapping[str, Value]]]) -> dict[str, Value]:
    return {full_name(measure, name): value for measure, figures in parts for name, value in figures.items()}
