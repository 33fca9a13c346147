"""An experiment as the tables know it: served lists and interactions, from its start to its end or to a moment."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas as pd

from recommender_assets.experiments.analysis import Plan, analyse
from recommender_assets.experiments.attribution import DAY_US, attribute
from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.interleaving_analysis import analyse_interleaving
from recommender_assets.experiments.log_frames import lists_of, lists_outside_experiments, reactions_of
from recommender_assets.experiments.metrics import metric_moments
from recommender_assets.experiments.planning import Baseline
from recommender_assets.experiments.records import read_ending, read_plan, read_simulated_days
from recommender_assets.experiments.result import ExperimentResult
from recommender_assets.experiments.simulation.calendar import stretched
from recommender_assets.ingestion.tables import create_tables
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Metric
from recommender_serving.engine.running_experiments import RunningExperiment

Traffic = Literal["logged", "simulated"]

OBSERVED_DAYS = 14
_ATTRIBUTION_HOURS = 24.0


def analyse_experiment(root: Path, name: str, until_us: int | None = None) -> ExperimentRun:
    """What is known of an experiment, running or over.

    Args:
        root: the storage root with its tables and records.
        name: of the experiment.
        until_us: only what happened before this moment (microseconds since 1970) counts; None = everything.

    Raises:
        ExperimentError: it was never started.
    """
    create_tables(root)
    experiment, ending, days = read_plan(root, name), read_ending(root, name), read_simulated_days(root, name)
    known_until = time.time_ns() // 1_000 if until_us is None else until_us
    last = min(known_until, ending.stopped_us) if ending else known_until
    lists = lists_of(root, name, experiment.started_us, last)
    reactions = reactions_of(root, lists["user_id"], experiment.started_us, known_until)
    if days is not None:
        lists = lists.assign(served_at=stretched(days.begins_us, lists["served_at"]))
        reactions = reactions[reactions["ranking_id"].notna()]  # the others are what visitors told beforehand
        reactions = reactions.assign(at=stretched(days.begins_us, reactions["at"]))
    traffic: Traffic = "logged" if days is None else "simulated"
    results = _results(experiment, lists, reactions, _before(root, experiment, lists), traffic)
    population = days.population if days else _population(experiment.definition)
    return ExperimentRun(experiment, tuple(replace(result, population=population) for result in results))


def _results(
    experiment: RunningExperiment,
    lists: pd.DataFrame,
    reactions: pd.DataFrame,
    before: pd.DataFrame | None,
    traffic: Traffic,
) -> tuple[ExperimentResult, ...]:
    definition, plan = experiment.definition, Plan(experiment.users_per_arm, experiment.variances)
    if definition.kind == "interleaving":
        return (analyse_interleaving(definition, plan, lists, reactions, traffic),)
    outcomes = attribute(lists, reactions, definition.attribution_hours)
    first = lists.sort_values("served_at").drop_duplicates("user_id").set_index("user_id")["source"]
    return analyse(definition, plan, replace(outcomes, before=before, segments=first), traffic)


def _before(root: Path, experiment: RunningExperiment, lists: pd.DataFrame) -> pd.DataFrame | None:
    """What the users of an experiment did in the days before it, if any of them was served and logged then."""
    since_us = experiment.started_us - OBSERVED_DAYS * DAY_US
    earlier, _ = lists_outside_experiments(root, since_us)
    earlier = earlier[earlier["user_id"].isin(lists["user_id"]) & (earlier["served_at"] < experiment.started_us)]
    if earlier.empty:
        return None
    reactions = reactions_of(root, earlier["user_id"], since_us, experiment.started_us)
    users = attribute(earlier.assign(arm="before"), reactions, _ATTRIBUTION_HOURS).cumulative()[-1]
    return users.drop(columns="arm").set_index("user_id").add_suffix("_before").reset_index()


def observed_baseline(root: Path, metric: Metric) -> Baseline:
    """The metric, and the users per day, of lists outside experiments in the last days.

    Raises:
        ValueError: nothing was logged, or too little to say how much users differ.
    """
    create_tables(root)
    now_us = time.time_ns() // 1_000
    since_us = now_us - OBSERVED_DAYS * DAY_US
    lists, share = lists_outside_experiments(root, since_us)
    if lists.empty:
        raise ValueError(
            f"no list outside experiments was logged in the last {OBSERVED_DAYS} days, so nothing is known of the "
            "baseline: serve users first (recommendation_log.share), or simulate the experiment"
        )
    reactions = reactions_of(root, lists["user_id"], since_us, now_us)
    outcomes = attribute(lists.assign(arm="outside"), reactions, _ATTRIBUTION_HOURS)
    users = outcomes.cumulative()[-1]
    days = max(1.0, (now_us - int(lists["served_at"].min())) / DAY_US)
    return Baseline(
        moments=metric_moments(users, metric),
        users_per_day=len(users) / days / share,
        source=f"{len(users):,} users in the last {days:.1f} days",
    )


def _population(definition: ExperimentDefinition) -> str:
    return (
        f"users of this service who were served lists while the experiment ran, {definition.traffic_share:.0%} of them "
        "drawn by a hash of their ids"
    )
