"""The decision of an experiment, by the stop rule that was written down before its start."""

from dataclasses import dataclass

from recommender_assets.experiments.comparison import Comparison
from recommender_assets.experiments.result import DailyLook, Decision
from recommender_assets.experiments.sample_ratio import ALARM_LEVEL
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Guardrail


@dataclass(frozen=True)
class Evidence:
    """What is known of one treatment when a decision is asked for.

    Attributes:
        comparison: against control over all days, None if an arm cannot be judged.
        p_value: of that comparison, corrected for the number of treatments.
        looks: the always-valid looks, one per day.
        users: users of control and of the treatment.
        planned_users: users that each arm was planned to have.
        sample_ratio_p_value: of users having arrived in the planned proportion.
        broken_guardrail: the guardrail that broke, if any.
    """

    comparison: Comparison | None
    p_value: float | None
    looks: tuple[DailyLook, ...]
    users: tuple[int, int]
    planned_users: int
    sample_ratio_p_value: float
    broken_guardrail: Guardrail | None

    @property
    def sequential_p_value(self) -> float:
        """The smallest p-value of all looks so far: a sequence may stop at any of them."""
        return min((look.p_value for look in self.looks), default=1.0)


def decide(definition: ExperimentDefinition, arm: str, evidence: Evidence) -> tuple[Decision, str]:
    """The decision and its reason in a sentence; safeguards come before the verdict."""
    if evidence.sample_ratio_p_value < ALARM_LEVEL:
        return "sample_ratio_mismatch", (
            f"users did not arrive in the planned proportion (p = {evidence.sample_ratio_p_value:.2g}): "
            "find out why before reading anything else"
        )
    if evidence.comparison is None:
        return (
            "not_enough_data",
            f"control has {evidence.users[0]} users and {arm} {evidence.users[1]}: both need 2 with data",
        )
    if evidence.broken_guardrail is not None:
        rail = evidence.broken_guardrail
        return "guardrail_broken", f"{rail.metric} of {arm} fell by more than {rail.largest_drop:g}"
    if definition.stop_rule == "sequential":
        return _sequential(definition, arm, evidence, evidence.comparison)
    return _fixed(definition, arm, evidence, evidence.comparison)


def _fixed(definition: ExperimentDefinition, arm: str, evidence: Evidence, found: Comparison) -> tuple[Decision, str]:
    if min(evidence.users) < evidence.planned_users:
        return "keep_running", f"{min(evidence.users)} of {evidence.planned_users} planned users an arm have been seen"
    p_value = evidence.p_value if evidence.p_value is not None else 1.0
    return _verdict(definition, arm, found.difference, p_value, "at the planned horizon")


def _sequential(
    definition: ExperimentDefinition, arm: str, evidence: Evidence, found: Comparison
) -> tuple[Decision, str]:
    p_value = evidence.sequential_p_value
    level = definition.significance_level / len(definition.treatments)
    if p_value >= level and min(evidence.users) < evidence.planned_users:
        return "keep_running", f"{min(evidence.users)} of at most {evidence.planned_users} users an arm have been seen"
    crossed = next((look for look in evidence.looks if look.p_value < level), None)
    if crossed is None:
        return _verdict(definition, arm, found.difference, 1.0, "at any look")
    better: Decision = "treatment" if crossed.difference > 0 else "control"
    winner = arm if crossed.difference > 0 else "control"
    return better, f"{winner} is better in {definition.metric}: decided on day {crossed.day + 1}, p = {p_value:.2g}"


def _verdict(
    definition: ExperimentDefinition, arm: str, difference: float, p_value: float, when: str
) -> tuple[Decision, str]:
    if p_value >= definition.significance_level:
        return "no_difference_found", f"no difference in {definition.metric} beyond chance {when} (p = {p_value:.2g})"
    if difference > 0:
        return "treatment", f"{arm} is better in {definition.metric} by {difference:.4g} (p = {p_value:.2g})"
    return "control", f"control is better in {definition.metric} by {-difference:.4g} (p = {p_value:.2g})"
