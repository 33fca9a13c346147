from typing import Any

import numpy as np
import pytest

from recommender_assets.experiments.arm_moments import ArmMoments, arm_moments
from recommender_assets.experiments.planning import forecast, plan_for
from recommender_assets.experiments.power import users_per_arm
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant

ARMS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def definition(**changes: Any) -> ExperimentDefinition:
    return ExperimentDefinition(**{"name": "one", "variants": ARMS, **changes})


def one_list_each(rate: float, users: int = 100_000) -> ArmMoments:
    return arm_moments(np.arange(users) < rate * users)


def test_a_rate_of_a_tenth_against_twelve_percent_needs_6355_users_an_arm() -> None:
    plan = plan_for(definition(min_effect_size=0.02), one_list_each(0.10))
    assert plan.users_per_arm == 6_355
    assert plan.variances == pytest.approx((0.09, 0.12 * 0.88), rel=1e-4)


def test_lists_of_one_user_that_resemble_each_other_cost_users() -> None:
    generator = np.random.default_rng(0)
    lists = 1 + generator.poisson(2, 50_000)
    taste = generator.beta(1, 9, 50_000)
    alike = plan_for(definition(), arm_moments(generator.binomial(lists, taste), lists))
    apart = plan_for(definition(), arm_moments(generator.binomial(lists, 0.1), lists))
    assert alike.users_per_arm > 1.15 * apart.users_per_arm


def test_a_mean_keeps_its_variance() -> None:
    ratings = arm_moments(np.tile([3.0, 4.0, 5.0], 100), np.ones(300))
    plan = plan_for(definition(metric="mean_rating", min_effect_size=0.1), ratings)
    assert plan.variances[0] == plan.variances[1] == pytest.approx(ratings.variance)
    assert plan.users_per_arm == users_per_arm(plan.variances, 0.1, 0.95, 0.05)


def test_looking_every_day_and_several_treatments_have_their_price() -> None:
    once = plan_for(definition(), one_list_each(0.1)).users_per_arm
    assert plan_for(definition(stop_rule="sequential"), one_list_each(0.1)).users_per_arm > 1.4 * once
    three = {**ARMS, "other": Variant(algorithm="nmf")}
    assert plan_for(definition(variants=three), one_list_each(0.1)).users_per_arm > 1.1 * once


@pytest.mark.parametrize(
    ("rate", "effect", "message"),
    [
        (0.0, 0.02, "baseline must lie between 0 and 1, got 0"),
        (1.0, 0.02, "baseline must lie between 0 and 1, got 1"),
        (0.5, 0.6, r"baseline \+ min_effect_size must lie between 0 and 1, got 1.1"),
    ],
)
def test_a_rate_that_cannot_grow_by_the_effect_is_refused(rate: float, effect: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_for(definition(min_effect_size=effect), one_list_each(rate))


def test_a_metric_without_spread_cannot_be_planned() -> None:
    same = arm_moments(np.full(10, 8.0), np.full(10, 2.0))
    with pytest.raises(ValueError, match="mean_rating is 4 for every user: there is no variance"):
        plan_for(definition(metric="mean_rating"), same)


def test_the_days_follow_from_the_traffic() -> None:
    plan = plan_for(definition(), one_list_each(0.1))
    expected = forecast(definition(), plan, users_per_day=1_000, duration_days=14)
    assert expected.days == 13  # 2 x 6,355 users
    assert expected.detectable == pytest.approx(0.02 * (6_355 / 7_000) ** 0.5, rel=1e-3)
    half = forecast(definition(traffic_share=0.5), plan, users_per_day=1_000, duration_days=14)
    assert half.days == 26
    uneven = {"control": Variant(algorithm="svd", weight=9.0), "treatment": Variant(algorithm="nmf")}
    assert forecast(definition(variants=uneven), plan, users_per_day=1_000, duration_days=14).days == 64


def test_without_traffic_there_is_no_forecast() -> None:
    plan = plan_for(definition(), one_list_each(0.1))
    with pytest.raises(ValueError, match="new_users_per_day must be positive, got 0"):
        forecast(definition(), plan, users_per_day=0, duration_days=14)
