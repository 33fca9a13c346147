from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recommender_assets.experiments.analysis import Plan, analyse
from recommender_assets.experiments.attribution import Outcomes
from recommender_assets.experiments.power import proportion_variances, users_per_arm
from recommender_assets.experiments.result import ExperimentResult
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Guardrail, Variant

ARMS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def definition(**changes: Any) -> ExperimentDefinition:
    return ExperimentDefinition(**{"name": "one", "variants": ARMS, "min_effect_size": 0.05, **changes})


def outcomes(rates: dict[str, float], users: int | dict[str, int], days: int = 1, seed: int = 0) -> Outcomes:
    """Users that each see one list on one of the days and click it with their arm's rate."""
    generator = np.random.default_rng(seed)
    frames = []
    for arm, rate in rates.items():
        count = users if isinstance(users, int) else users[arm]
        frames.append(
            pd.DataFrame(
                {
                    "user_id": [f"{arm}{user}" for user in range(count)],
                    "arm": arm,
                    "day": np.arange(count) % days,
                    "lists": 1,
                    "clicked_lists": generator.random(count) < rate,
                    "ratings": 0,
                    "rating_sum": 0.0,
                }
            ).astype({"clicked_lists": int})
        )
    return Outcomes(pd.concat(frames, ignore_index=True), crossed_users=0, unattributed=0, duplicates=0)


def plan(effect: float = 0.05) -> Plan:
    variances = proportion_variances(0.2, effect)
    return Plan(users_per_arm(variances, effect, 0.95, 0.05), variances)


def result(rates: tuple[float, float], users: int = 2_500, days: int = 5, **changes: Any) -> ExperimentResult:
    arms = dict(zip(("control", "treatment"), rates, strict=True))
    return analyse(definition(**changes), plan(), outcomes(arms, users, days), "simulated")[0]


def test_a_planted_effect_is_found_at_the_horizon() -> None:
    found = result((0.2, 0.27))
    assert found.decision == "treatment"
    assert found.samples == {"control": 2_500, "treatment": 2_500}
    assert found.lift is not None
    assert found.confidence_interval is not None
    assert found.confidence_interval[0] < found.lift < found.confidence_interval[1]
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert found.power == pytest.approx(0.987, abs=0.01)
    assert found.rates["control"] == pytest.approx(0.2, abs=0.03)


def test_a_worse_treatment_loses() -> None:
    assert result((0.27, 0.2)).decision == "control"


def test_no_effect_is_no_verdict_for_either() -> None:
    found = result((0.2, 0.2))
    assert found.decision == "no_difference_found"
    assert found.difference_interval is not None
    assert found.difference_interval[0] < 0 < found.difference_interval[1]


def test_before_the_horizon_a_fixed_experiment_only_keeps_running() -> None:
    found = result((0.2, 0.4), users=500)
    assert found.decision == "keep_running"
    assert "500 of" in found.reason


def test_a_sequential_one_stops_as_soon_as_it_is_sure() -> None:
    assert result((0.2, 0.4), users=500, stop_rule="sequential").decision == "treatment"
    assert result((0.2, 0.2), users=500, stop_rule="sequential").decision == "keep_running"
    assert result((0.2, 0.2), stop_rule="sequential").decision == "no_difference_found"


def test_a_wrong_split_blocks_every_verdict() -> None:
    uneven = outcomes({"control": 0.2, "treatment": 0.3}, {"control": 2_200, "treatment": 2_600})
    found = analyse(definition(), plan(), uneven, "logged")[0]
    assert found.decision == "sample_ratio_mismatch"
    assert found.sample_ratio_p_value < 0.0005


@pytest.mark.parametrize(
    "users", [{"control": 50, "treatment": 0}, {"control": 1, "treatment": 1}, {"control": 0, "treatment": 0}]
)
def test_an_empty_arm_is_not_enough(users: dict[str, int]) -> None:
    found = analyse(definition(traffic_share=1), plan(), outcomes({"control": 0.2, "treatment": 0.2}, users), "logged")[
        0
    ]
    assert found.decision in {"not_enough_data", "sample_ratio_mismatch"}
    assert found.p_value is None
    assert found.lift is None


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_click_or_only_clicks_have_a_defined_result(rate: float) -> None:
    found = result((rate, rate))
    assert (found.decision, found.p_value, found.difference) == ("no_difference_found", 1.0, 0.0)


def test_a_broken_guardrail_stops_it() -> None:
    rail = Guardrail(metric="conversion", largest_drop=0.02)
    found = result((0.3, 0.2), guardrails=(rail,))
    assert (found.decision, found.reason) == ("guardrail_broken", "conversion of treatment fell by more than 0.02")
    assert result((0.3, 0.29), guardrails=(rail,)).decision != "guardrail_broken"


def test_several_treatments_are_corrected_together() -> None:
    arms = {**ARMS, "other": Variant(algorithm="svd", popularity_discount=0.5)}
    three = outcomes({"control": 0.2, "other": 0.2, "treatment": 0.235}, 2_500)
    pair = Outcomes(three.daily[three.daily["arm"] != "other"], 0, 0, 0)
    alone = analyse(definition(), plan(), pair, "simulated")[0]
    results = analyse(definition(variants=arms), plan(), three, "simulated")
    assert [found.treatment for found in results] == ["other", "treatment"]
    assert results[1].p_value is not None
    assert alone.p_value is not None
    assert results[1].p_value == pytest.approx(2 * alone.p_value)
    assert set(results[0].samples) == {"control", "other", "treatment"}


def test_looks_tell_every_day_and_the_trend_needs_three() -> None:
    found = result((0.2, 0.25), days=5)
    assert [look.day for look in found.looks] == [0, 1, 2, 3, 4]
    assert found.looks[-1].users == 5_000
    assert all(look.interval[0] < look.difference < look.interval[1] for look in found.looks)
    assert found.trend is not None
    assert result((0.2, 0.25), days=2).trend is None


def test_it_reads_as_a_mapping_and_as_an_object() -> None:
    found = result((0.2, 0.25))
    assert found["lift"] == found.lift
    asked_for = {"lift", "p_value", "confidence_interval", "effect_size", "power", "sample_size", "samples", "decision"}
    assert asked_for | {"sample_ratio_p_value"} <= set(found)
    assert dict(found)["decision"] == found.decision
    with pytest.raises(KeyError):
        found["nothing"]


def test_what_was_left_out_is_said() -> None:
    clean = outcomes({"control": 0.2, "treatment": 0.2}, 100)
    noted = Outcomes(clean.daily, crossed_users=3, unattributed=0, duplicates=7)
    notes = analyse(definition(), plan(), noted, "logged")[0].notes
    assert [note.split()[0] for note in notes] == ["3", "7"]


def test_p_values_of_segments_are_corrected_for_their_number() -> None:
    seen = outcomes({"control": 0.2, "treatment": 0.24}, 2_000)
    halves = {user: "odd" if int(user[-1]) % 2 else "even" for user in seen.daily["user_id"]}
    both = replace(seen, segments=pd.Series(halves))
    alone = replace(seen, segments=pd.Series({user: name for user, name in halves.items() if name == "even"}))
    (two,), (one,) = (analyse(definition(), plan(), found, "simulated") for found in (both, alone))
    assert set(two.segments) == {"odd", "even"}
    assert set(one.segments) == {"even"}
    assert two.segments["even"].difference == one.segments["even"].difference
    assert two.segments["even"].p_value == pytest.approx(2 * one.segments["even"].p_value)
    assert sum(effect.users for effect in two.segments.values()) == 4_000


def test_secondary_metrics_are_corrected_over_metrics_and_treatments_and_decide_nothing() -> None:
    arms = {"control": Variant(algorithm="svd"), "a": Variant(algorithm="nmf"), "b": Variant(algorithm="nmf")}
    seen = outcomes({"control": 0.2, "a": 0.2, "b": 0.28}, 2_500, days=5)
    rated = seen.daily["arm"].map({"control": 3.0, "a": 3.0, "b": 4.5}) + (seen.daily.index % 2)
    seen = replace(seen, daily=seen.daily.assign(ratings=1, rating_sum=rated))
    one = definition(variants=arms, metric="mean_rating", secondary_metrics=("ctr", "conversion"))

    a, b = analyse(one, plan(), seen, "simulated")

    assert set(a.secondary) == set(b.secondary) == {"ctr", "conversion"}
    clicks = b.secondary["conversion"]
    assert clicks.users == 5_000
    assert clicks.interval[0] < clicks.difference < clicks.interval[1]
    alone = analyse(definition(variants=arms, metric="conversion"), plan(), seen, "simulated")[1]
    assert alone.p_value is not None
    assert clicks.difference == alone.difference
    assert clicks.p_value == pytest.approx(2 * alone.p_value, rel=0.5), "4 comparisons here, 2 there, of which the best"
    without = analyse(definition(variants=arms, metric="mean_rating"), plan(), seen, "simulated")
    assert [(found.decision, found.p_value) for found in without] == [(a.decision, a.p_value), (b.decision, b.p_value)]


def test_the_question_itself_and_what_nobody_gave_are_no_secondary_metrics() -> None:
    found = result((0.2, 0.2), secondary_metrics=("ctr", "conversion", "mean_rating"))
    assert set(found.secondary) == {"conversion"}
