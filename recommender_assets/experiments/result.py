"""What an experiment found, as a typed object that also reads as a mapping."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from recommender_assets.experiments.novelty import EffectTrend
from recommender_serving.engine.experiment_definition import Metric

Interval = tuple[float, float]
Decision = Literal[
    "treatment",
    "control",
    "no_difference_found",
    "keep_running",
    "sample_ratio_mismatch",
    "guardrail_broken",
    "not_enough_data",
]


@dataclass(frozen=True)
class DailyLook:
    """Everything known at the end of one day: the difference so far and its always-valid interval and p-value."""

    day: int
    users: int
    difference: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class FurtherEffect:
    """A difference beside the question; its p-value is corrected for the number of such differences."""

    users: int
    difference: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class ExperimentResult(Mapping[str, Any]):
    """The comparison of one treatment with control; `result["lift"]` and `result.lift` are the same.

    Attributes:
        experiment: its name.
        metric: what was compared.
        treatment: the arm compared with control.
        decision: `treatment` or `control`: the better one, beyond chance. `no_difference_found`: the planned users have
            been seen and the difference may be chance. `keep_running`: the stop rule asks for more users. The others
            block a verdict: see `reason`.
        reason: the decision in a sentence.
        lift: relative difference, treatment / control - 1; None where control is 0.
        confidence_interval: of the lift.
        difference: absolute difference, treatment - control.
        difference_interval: confidence interval of the difference; of a sequential experiment, an always-valid one.
        p_value: of no difference, corrected for the number of treatments.
        effect_size: Cohen's h (one outcome per user) or d.
        power: probability that an effect of `min_effect_size` would have been found with these users.
        sample_size: users that each arm was planned to have.
        samples: arm -> users seen.
        rates: arm -> metric.
        sample_ratio_p_value: of users having arrived in the planned proportion.
        traffic: `logged`, or `simulated` by visitors that draw on real users' ratings.
        population: whom the inference speaks of.
        method: the statistical test.
        variance_removed: share of the variance that what users did before the experiment explains (CUPED), if known.
        segments: difference by what was known of the user at first: `personalized`, `folded_in` or `popular` lists.
        secondary: difference in each secondary metric that can be judged, corrected over metrics and treatments.
        looks: the difference at the end of each day.
        trend: change of the daily effect over time, None with fewer than three days.
        notes: what was left out of the analysis and why.
    """

    experiment: str
    metric: str
    treatment: str
    decision: Decision
    reason: str
    sample_size: int
    samples: dict[str, int]
    sample_ratio_p_value: float
    traffic: Literal["logged", "simulated"]
    rates: dict[str, float] = field(default_factory=dict)
    lift: float | None = None
    confidence_interval: Interval | None = None
    difference: float | None = None
    difference_interval: Interval | None = None
    p_value: float | None = None
    effect_size: float | None = None
    power: float | None = None
    population: str = ""
    method: str = ""
    variance_removed: float | None = None
    segments: dict[str, FurtherEffect] = field(default_factory=dict)
    secondary: dict[Metric, FurtherEffect] = field(default_factory=dict)
    looks: tuple[DailyLook, ...] = ()
    trend: EffectTrend | None = None
    notes: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return (one.name for one in fields(self))

    def __len__(self) -> int:
        return len(fields(self))

    def __contains__(self, key: object) -> bool:
        return any(one.name == key for one in fields(self))
