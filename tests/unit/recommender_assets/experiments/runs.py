"""Experiments with known outcomes, for tests of what is made of them."""

from typing import Any

import numpy as np
import pandas as pd

from recommender_assets.experiments.analysis import Plan, analyse
from recommender_assets.experiments.attribution import Outcomes
from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.power import proportion_variances
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import RunningExperiment

ARMS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def definition(**changes: Any) -> ExperimentDefinition:
    return ExperimentDefinition(**{"name": "one", "variants": ARMS, "min_effect_size": 0.05, **changes})


def experiment_run(
    rates: dict[str, float], users: int | dict[str, int] = 2_500, days: int = 5, **changes: Any
) -> ExperimentRun:
    """Users that each see one list on one of the days and click it with their arm's rate; 2,000 an arm are planned."""
    generator = np.random.default_rng(0)
    counts = dict.fromkeys(rates, users) if isinstance(users, int) else users
    arms = np.repeat(list(rates), [counts[arm] for arm in rates])
    clicked = generator.random(len(arms)) < np.array([rates[arm] for arm in arms])
    number = np.arange(len(arms))
    daily = pd.DataFrame({"user_id": number.astype(str), "arm": arms, "day": number % days, "lists": 1})
    daily = daily.assign(clicked_lists=clicked.astype(int), ratings=0, rating_sum=0.0)
    asked = definition(**changes)
    plan = Plan(2_000, proportion_variances(0.2, 0.05))
    results = analyse(asked, plan, Outcomes(daily, crossed_users=0, unattributed=3, duplicates=0), "simulated")
    experiment = RunningExperiment(
        definition=asked, started_us=1_767_225_600_000_000, users_per_arm=2_000, variances=plan.variances
    )
    return ExperimentRun(experiment, results)
