"""An interleaving experiment: whose items users prefer in the lists that both variants have drawn up together."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from recommender_assets.experiments.analysis import Plan
from recommender_assets.experiments.attribution import DAY_US, POSITIVE_KINDS
from recommender_assets.experiments.interleaving_preference import Preference, preference
from recommender_assets.experiments.result import DailyLook, Decision, ExperimentResult
from recommender_assets.experiments.sequential import MINIMUM_USERS, MixtureBoundary, boundary_for
from recommender_serving.engine.experiment_definition import INTERLEAVED, ExperimentDefinition

PREFERENCE = "preference"


def analyse_interleaving(
    definition: ExperimentDefinition,
    plan: Plan,
    lists: pd.DataFrame,
    reactions: pd.DataFrame,
    traffic: Literal["logged", "simulated"],
) -> ExperimentResult:
    """Whether users prefer the treatment's items, by the definition's own stop rule.

    Args:
        definition: of kind `interleaving`.
        plan: `users_per_arm` is the number of users that have to click.
        lists: `ranking_id`, `user_id`, `served_at` (microseconds), `items` and `teams` (the arm that placed each item).
        reactions: `user_id`, `item_id`, `kind`, `ranking_id`; those without `ranking_id` say nothing of a team.
        traffic: whose lists these are.
    """
    clicks = clicks_by_team(lists, reactions)
    (arm,) = definition.treatments
    users = int(lists["user_id"].nunique())
    looks = _looks(
        clicks, arm, boundary_for(math.sqrt(plan.variances[0] / plan.users_per_arm), definition.significance_level)
    )
    found = _preference(clicks, arm, definition.significance_level)
    facts = ExperimentResult(
        experiment=definition.name,
        metric=PREFERENCE,
        treatment=arm,
        decision="not_enough_data",
        reason=f"{found.users} of {users} users clicked: 2 are needed",
        sample_size=plan.users_per_arm,
        samples={INTERLEAVED: users},
        sample_ratio_p_value=1.0,
        traffic=traffic,
        looks=looks,
        method="team-draft interleaving, t-test of the users' preferences",
    )
    if found.users < 2:
        return facts
    p_value = found.p_value if definition.stop_rule == "fixed" else min((look.p_value for look in looks), default=1.0)
    interval = looks[-1].interval if definition.stop_rule == "sequential" and looks else found.interval
    decision, reason = _decide(definition, plan, found, p_value)
    return replace(
        facts,
        decision=decision,
        reason=reason,
        difference=found.preference,
        difference_interval=interval,
        p_value=p_value,
    )


def clicks_by_team(lists: pd.DataFrame, reactions: pd.DataFrame) -> pd.DataFrame:
    """One row per clicked item of a list: `user_id`, `day` (0 = the first) and `team`, the arm that placed it."""
    placed = lists[["ranking_id", "user_id", "served_at", "items", "teams"]].explode(["items", "teams"])
    placed = placed.rename(columns={"items": "item_id", "teams": "team"})
    named = reactions[reactions["kind"].isin(POSITIVE_KINDS) & reactions["ranking_id"].notna()]
    clicked = placed.merge(named[["ranking_id", "user_id", "item_id"]].drop_duplicates())
    start = int(lists["served_at"].min()) if len(lists) else 0
    return clicked.assign(day=(clicked["served_at"].astype(np.int64) - start) // DAY_US)[["user_id", "day", "team"]]


def _preference(clicks: pd.DataFrame, arm: str, level: float) -> Preference:
    by_user = (clicks["team"] == arm).groupby(clicks["user_id"]).agg(["sum", "size"]).to_numpy(dtype=np.float64)
    return preference(by_user[:, 1] - by_user[:, 0], by_user[:, 0], level)


def _looks(clicks: pd.DataFrame, arm: str, boundary: MixtureBoundary) -> tuple[DailyLook, ...]:
    """One look per day on which enough users had clicked."""
    looks = []
    for day in range(int(clicks["day"].max()) + 1 if len(clicks) else 0):
        found = _preference(clicks[clicks["day"] <= day], arm, boundary.level)
        if found.users < MINIMUM_USERS:
            continue
        # A user's preference is +1, 0 or -1, so its variance is at most 1.
        look = boundary.look(found.preference, math.sqrt(1 / found.users))
        looks.append(DailyLook(day, found.users, found.preference, look.interval, look.p_value))
    return tuple(looks)


def _decide(definition: ExperimentDefinition, plan: Plan, found: Preference, p_value: float) -> tuple[Decision, str]:
    (arm,) = definition.treatments
    enough, surely = found.users >= plan.users_per_arm, p_value < definition.significance_level
    if not enough and not (surely and definition.stop_rule == "sequential"):
        return "keep_running", f"{found.users} of {plan.users_per_arm} planned users have clicked"
    if not surely:
        return "no_difference_found", f"no preference beyond chance among {found.users} users (p = {p_value:.2g})"
    winner: Decision = "treatment" if found.preference > 0 else "control"
    better = arm if found.preference > 0 else "control"
    return winner, f"users prefer {better} (preference {found.preference:+.3f}, p = {p_value:.2g})"
