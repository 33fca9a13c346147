from typing import Any

import numpy as np
import pandas as pd
import pytest

from recommender_assets.experiments.analysis import Plan
from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.experiments.interleaving_analysis import analyse_interleaving, clicks_by_team
from recommender_assets.experiments.planning import plan_for
from recommender_assets.experiments.result import ExperimentResult
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from tests.unit.recommender_assets.experiments.runs import definition


def asked(**changes: Any) -> ExperimentDefinition:
    return definition(kind="interleaving", min_effect_size=0.2, **changes)


def traffic(preference: float, users: int, days: int = 4) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Users that are each served one list of two items and click one of them, the treatment's more often."""
    evenly_spread = np.arange(users) * (5**0.5 - 1) / 2 % 1
    for_treatment = evenly_spread < 0.5 + preference / 2
    names = [f"u{n}" for n in range(users)]
    lists = pd.DataFrame({"ranking_id": [f"r{n}" for n in range(users)], "user_id": names})
    lists["served_at"] = np.arange(users) % days * DAY_US + 10
    lists["items"] = [("a", "b")] * users
    lists["teams"] = [("control", "treatment") if n % 2 else ("treatment", "control") for n in range(users)]
    clicked = [
        items[teams.index("treatment" if wins else "control")]
        for items, teams, wins in zip(lists["items"], lists["teams"], for_treatment, strict=True)
    ]
    reactions = pd.DataFrame({"user_id": names, "item_id": clicked, "kind": "click", "ranking_id": lists["ranking_id"]})
    return lists, reactions


def result(preference: float, users: int = 500, planned: int = 325, **changes: Any) -> ExperimentResult:
    return analyse_interleaving(asked(**changes), Plan(planned, (1.0, 0.0)), *traffic(preference, users), "simulated")


def test_who_places_the_better_items_wins() -> None:
    found = result(0.4)
    assert found.decision == "treatment"
    assert found.difference == pytest.approx(0.4, abs=0.1)
    assert found.difference_interval is not None
    assert found.difference_interval[0] < 0.4 < found.difference_interval[1]
    assert found.samples == {"interleaved": 500}
    assert "users prefer treatment" in found.reason
    assert result(-0.4).decision == "control"
    assert result(0.0).decision == "no_difference_found"


def test_before_enough_users_have_clicked_a_fixed_one_keeps_running_and_a_sequential_one_may_end() -> None:
    assert result(0.6, users=300).decision == "keep_running"
    assert result(0.6, users=300, stop_rule="sequential").decision == "treatment"
    assert result(0.05, users=300, stop_rule="sequential").decision == "keep_running"


def test_days_are_looked_at_once_a_hundred_users_have_clicked() -> None:
    assert [(look.day, look.users) for look in result(0.4, users=360).looks] == [(1, 180), (2, 270), (3, 360)]


def test_a_sequential_one_rarely_raises_a_false_alarm() -> None:
    plan, alarms = Plan(400, (1.0, 0.0)), 0
    for seed in range(100):
        lists, reactions = traffic(0.0, 400, days=4)
        shuffled = np.random.default_rng(seed).permutation(["a", "b"] * 200)
        reactions["item_id"] = shuffled
        found = analyse_interleaving(asked(stop_rule="sequential"), plan, lists, reactions, "simulated")
        alarms += found.decision in {"treatment", "control"}
    assert alarms <= 5  # 5 % of 100


def test_a_click_counts_once_for_the_team_of_its_item_and_only_in_its_users_own_list() -> None:
    lists = pd.DataFrame(
        {
            "ranking_id": ["r1", "r2"],
            "user_id": ["u1", "u2"],
            "served_at": [0, DAY_US],
            "items": [("a", "b"), ("b", "c")],
            "teams": [("control", "treatment"), ("treatment", "control")],
        }
    )
    rows = [
        ("u1", "a", "click", "r1"),
        ("u1", "a", "rating", "r1"),
        ("u2", "b", "purchase", "r2"),
        ("u2", "a", "click", "r2"),  # not in that list
        ("u2", "a", "click", "r1"),  # another user's list
        ("u1", "b", "view", "r1"),
        ("u1", "b", "click", None),
    ]
    reactions = pd.DataFrame(rows, columns=["user_id", "item_id", "kind", "ranking_id"])
    found = clicks_by_team(lists, reactions).to_records(index=False).tolist()
    assert sorted(found) == [("u1", 0, "control"), ("u2", 1, "treatment")]


def test_without_lists_or_clicks_there_is_no_verdict() -> None:
    lists, reactions = traffic(0.0, 10)
    plan = Plan(100, (1.0, 0.0))
    for seen, clicks in ((lists, reactions.iloc[:0]), (lists.iloc[:0], reactions.iloc[:0])):
        found = analyse_interleaving(asked(), plan, seen, clicks, "logged")
        assert (found.decision, found.looks) == ("not_enough_data", ())


def test_the_plan_needs_no_baseline() -> None:
    assert plan_for(asked(), None).users_per_arm == 325  # type: ignore[arg-type]
