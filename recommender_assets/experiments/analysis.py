"""From outcomes per user and day to results: the comparison, its safeguards and the decision."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import pandas as pd

from recommender_assets.experiments.attribution import Outcomes
from recommender_assets.experiments.comparison import Comparison, compare
from recommender_assets.experiments.corrections import Name, holm
from recommender_assets.experiments.decision import Evidence, decide
from recommender_assets.experiments.metrics import metric_moments
from recommender_assets.experiments.novelty import EffectTrend, effect_trend
from recommender_assets.experiments.power import achieved_power
from recommender_assets.experiments.result import DailyLook, ExperimentResult, FurtherEffect
from recommender_assets.experiments.sample_ratio import sample_ratio_p_value
from recommender_assets.experiments.sequential import MINIMUM_USERS, MixtureBoundary, boundary_for
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Guardrail, Metric


@dataclass(frozen=True)
class Plan:
    """What was fixed before the start: users per arm, and the variances of one user's contribution they rest on."""

    users_per_arm: int
    variances: tuple[float, float]

    def boundary(self, level: float) -> MixtureBoundary:
        """The sequential boundary, tightest at the planned number of users."""
        return boundary_for(math.sqrt(sum(self.variances) / self.users_per_arm), level)


def analyse(
    definition: ExperimentDefinition, plan: Plan, outcomes: Outcomes, traffic: Literal["logged", "simulated"]
) -> tuple[ExperimentResult, ...]:
    """Compare every treatment with control by the definition's own stop rule.

    Returns:
        One result per treatment, in the order of their names.
    """
    cumulative = outcomes.cumulative()
    pairs = [_Pair(definition, plan, outcomes, cumulative, arm) for arm in definition.treatments]
    corrected = holm({pair.arm: pair.found.p_value for pair in pairs if pair.found is not None})
    secondary = _secondary_effects(pairs)
    return tuple(
        replace(_result(pair, corrected.get(pair.arm), traffic), secondary=secondary[pair.arm]) for pair in pairs
    )


@dataclass(frozen=True)
class _Pair:
    """One treatment and control; `cumulative[d]` has one row per user over the days 0..d."""

    definition: ExperimentDefinition
    plan: Plan
    outcomes: Outcomes
    cumulative: tuple[pd.DataFrame, ...]
    arm: str

    @property
    def level(self) -> float:
        """Share of false alarms that this comparison may have, of those of the whole experiment."""
        return self.definition.significance_level / len(self.definition.treatments)

    @cached_property
    def samples(self) -> dict[str, int]:
        """Arm -> users seen, over all arms of the experiment."""
        arms = self.cumulative[-1]["arm"]
        return {arm: int((arms == arm).sum()) for arm in self.definition.shares}

    @property
    def users(self) -> tuple[int, int]:
        """Users of control and of the treatment."""
        return self.samples["control"], self.samples[self.arm]

    @cached_property
    def found(self) -> Comparison | None:
        """The comparison over all days."""
        return self.compare(self.cumulative[-1], self.definition.metric)

    def compare(self, users: pd.DataFrame, metric: Metric) -> Comparison | None:
        """None where an arm cannot be judged yet: fewer than two users, or nothing to divide by."""
        try:
            control, treatment = (metric_moments(users[users["arm"] == arm], metric) for arm in ("control", self.arm))
        except ValueError:
            return None
        return compare(control, treatment, self.level)

    @cached_property
    def looks(self) -> tuple[DailyLook, ...]:
        """Always-valid looks at the primary metric."""
        return self.looks_at(self.definition.metric, self.plan.boundary(self.level))

    def looks_at(self, metric: Metric, boundary: MixtureBoundary) -> tuple[DailyLook, ...]:
        """One look per day on which both arms had enough users."""
        looks = []
        for day, users in enumerate(self.cumulative):
            seen = users["arm"].value_counts()
            found = self.compare(users, metric)
            if found is None or min(seen.get("control", 0), seen.get(self.arm, 0)) < MINIMUM_USERS:
                continue
            look = boundary.look(found.difference, found.standard_error)
            count = int(seen["control"] + seen[self.arm])
            looks.append(DailyLook(day, count, found.difference, look.interval, look.p_value))
        return tuple(looks)

    @cached_property
    def broken_guardrail(self) -> Guardrail | None:
        """The first guardrail that surely fell by more than its limit, at any daily look."""
        for guardrail in self.definition.guardrails:
            found = self.compare(self.cumulative[-1], guardrail.metric)
            if found is None or found.standard_error == 0:
                continue
            planned_error = found.standard_error * math.sqrt(min(self.users) / self.plan.users_per_arm)
            looks = self.looks_at(guardrail.metric, boundary_for(planned_error, self.level))
            if any(look.interval[1] < -guardrail.largest_drop for look in looks):
                return guardrail
        return None

    @property
    def trend(self) -> EffectTrend | None:
        """How the effect changes from day to day."""
        daily = self.outcomes.daily
        by_day = [(day, self.compare(rows, self.definition.metric)) for day, rows in daily.groupby("day")]
        known = [(float(day), found) for day, found in by_day if found is not None]
        return effect_trend([day for day, _ in known], [found for _, found in known])

    def segments(self) -> dict[str, FurtherEffect]:
        """The effect within each segment that can be judged, with p-values corrected for their number."""
        if self.outcomes.segments is None:
            return {}
        users = self.cumulative[-1]
        by_segment = users.groupby(users["user_id"].map(self.outcomes.segments))
        return _corrected(
            {
                str(name): (len(rows), comparison)
                for name, rows in by_segment
                if (comparison := self.compare(rows, self.definition.metric)) is not None
            }
        )

    def secondary(self) -> dict[Metric, tuple[int, Comparison]]:
        """Users and comparison in each secondary metric that can be judged."""
        metrics = (metric for metric in self.definition.secondary_metrics if metric != self.definition.metric)
        compared = ((metric, self.compare(self.cumulative[-1], metric)) for metric in metrics)
        return {metric: (sum(self.users), found) for metric, found in compared if found is not None}


def _corrected(found: Mapping[Name, tuple[int, Comparison]]) -> dict[Name, FurtherEffect]:
    p_values = holm({name: comparison.p_value for name, (_, comparison) in found.items()})
    return {
        name: FurtherEffect(users, comparison.difference, comparison.interval, p_values[name])
        for name, (users, comparison) in found.items()
    }


def _secondary_effects(pairs: Sequence[_Pair]) -> dict[str, dict[Metric, FurtherEffect]]:
    """Arm -> secondary metric -> effect; one correction over all of them."""
    effects = _corrected({(pair.arm, metric): found for pair in pairs for metric, found in pair.secondary().items()})
    return {
        pair.arm: {metric: effect for (arm, metric), effect in effects.items() if arm == pair.arm} for pair in pairs
    }


def _result(pair: _Pair, p_value: float | None, traffic: Literal["logged", "simulated"]) -> ExperimentResult:
    definition, found = pair.definition, pair.found
    evidence = Evidence(
        comparison=found,
        p_value=p_value,
        looks=pair.looks,
        users=pair.users,
        planned_users=pair.plan.users_per_arm,
        sample_ratio_p_value=sample_ratio_p_value(pair.samples, definition.shares),
        broken_guardrail=pair.broken_guardrail,
    )
    decision, reason = decide(definition, pair.arm, evidence)
    facts = ExperimentResult(
        experiment=definition.name,
        metric=definition.metric,
        treatment=pair.arm,
        decision=decision,
        reason=reason,
        sample_size=pair.plan.users_per_arm,
        samples=pair.samples,
        sample_ratio_p_value=evidence.sample_ratio_p_value,
        traffic=traffic,
        looks=pair.looks,
        notes=_notes(pair.outcomes),
    )
    if found is None:
        return facts
    sequential = definition.stop_rule == "sequential"
    return replace(
        facts,
        rates={"control": found.control, pair.arm: found.treatment},
        lift=found.lift,
        confidence_interval=found.lift_interval,
        difference=found.difference,
        difference_interval=pair.looks[-1].interval if sequential and pair.looks else found.interval,
        p_value=evidence.sequential_p_value if sequential else p_value,
        effect_size=found.effect_size,
        power=achieved_power(pair.users, pair.plan.variances, definition.min_effect_size, pair.level),
        method=found.method,
        variance_removed=found.variance_removed,
        segments=pair.segments(),
        trend=pair.trend,
    )


def _notes(outcomes: Outcomes) -> tuple[str, ...]:
    counted = (
        (outcomes.crossed_users, "users were served by more than one arm and are left out"),
        (outcomes.unattributed, "interactions belong to no served list"),
        (outcomes.duplicates, "repeated interactions with one item of one list count once"),
    )
    return tuple(f"{count} {what}" for count, what in counted if count)
