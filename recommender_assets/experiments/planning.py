"""From a question and what was observed before it to the plan that is written down before the start."""

import math
from dataclasses import dataclass

from recommender_assets.experiments.analysis import Plan
from recommender_assets.experiments.arm_moments import ArmMoments
from recommender_assets.experiments.power import (
    days_needed,
    minimum_detectable_effect,
    proportion_variances,
    sequential_users_per_arm,
    users_per_arm,
)
from recommender_serving.engine.experiment_definition import ExperimentDefinition

_PREFERENCE_VARIANCES = (1.0, 0.0)  # one group of users


@dataclass(frozen=True)
class Baseline:
    """What users did without the experiment.

    Attributes:
        moments: of the experiment's metric over these users.
        users_per_day: how many different users came per day.
        source: where this was observed, in a few words.
    """

    moments: ArmMoments
    users_per_day: float
    source: str


@dataclass(frozen=True)
class Forecast:
    """What a plan means in time.

    Attributes:
        days: until every arm has its users at the observed traffic.
        detectable: the smallest absolute effect that the asked duration would show with the planned power.
    """

    days: int
    detectable: float


def plan_for(definition: ExperimentDefinition, baseline: ArmMoments) -> Plan:
    """Users per arm for the definition's question, from the spread of the metric among users without the experiment.

    A rate's variance changes with the rate, so the treatment's is that of control times p'(1 - p') / p(1 - p), p' being
    the rate with the effect; a mean's is assumed to stay. With unequal shares the smallest arm gets the number that
    equal arms would need.

    Of an interleaving experiment the effect is a preference, between -1 and 1, whose variance is at most 1 whatever
    the baseline; the users are those who have to click.

    Raises:
        ValueError: the metric does not vary, or the rate plus the effect is no proportion.
    """
    if definition.kind == "interleaving":
        return Plan(_users_for(definition, _PREFERENCE_VARIANCES), _PREFERENCE_VARIANCES)
    control, effect = baseline.variance, definition.min_effect_size
    treatment = control
    if definition.metric != "mean_rating":
        without, with_effect = proportion_variances(baseline.rate, effect)
        treatment = control * with_effect / without
    if not control > 0:
        raise ValueError(f"{definition.metric} is {baseline.rate:g} for every user: there is no variance to plan with")
    return Plan(_users_for(definition, (control, treatment)), (control, treatment))


def _users_for(definition: ExperimentDefinition, variances: tuple[float, float]) -> int:
    users = sequential_users_per_arm if definition.stop_rule == "sequential" else users_per_arm
    level = definition.significance_level / len(definition.treatments)
    return users(variances, definition.min_effect_size, definition.statistical_power, level)


def forecast(definition: ExperimentDefinition, plan: Plan, users_per_day: float, duration_days: int) -> Forecast:
    """How long the plan takes, and what `duration_days` would find.

    Raises:
        ValueError: no traffic.
    """
    smallest = min(definition.shares.values())
    days = days_needed(math.ceil(plan.users_per_arm / (2 * smallest)), 2, users_per_day, definition.traffic_share)
    users = max(2, int(users_per_day * duration_days * definition.traffic_share * smallest))
    level = definition.significance_level / len(definition.treatments)
    found = minimum_detectable_effect((users, users), plan.variances, definition.statistical_power, level)
    return Forecast(days, found)
