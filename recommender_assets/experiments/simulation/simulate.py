"""A whole experiment on this machine: the real service and topics, simulated visitors and days."""

import math
import time
from itertools import count

import msgspec
import numpy as np
from pyspark.sql import SparkSession

from recommender_assets.experiments.analysis import Plan
from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.logged import analyse_experiment
from recommender_assets.experiments.planning import plan_for
from recommender_assets.experiments.progress import Progress
from recommender_assets.experiments.records import SimulatedDays, begin, end, write_simulated_days
from recommender_assets.experiments.simulation.calendar import visits_by_day
from recommender_assets.experiments.simulation.pilot import pilot, pilot_crowd
from recommender_assets.experiments.simulation.population import population_of
from recommender_assets.experiments.simulation.storage import new_simulation_root
from recommender_assets.experiments.simulation.system import RunningSystem, running_system
from recommender_assets.experiments.simulation.visitors import Crowd
from recommender_assets.features.matrix import load_matrix, matrix_directory
from recommender_assets.ingestion.served_lists import ingest_served_lists
from recommender_assets.ingestion.spark_session import spark_session
from recommender_assets.ingestion.streaming_query import ingest_or_report
from recommender_assets.settings import Settings
from recommender_serving.engine.assignment import Assigner
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from recommender_serving.engine.running_experiments import RunningExperiment

MOST_DAYS = 365
_MORE_THAN_ENOUGH = 1.1  # the share that clicks is only estimated


def simulate(
    settings: Settings, definition: ExperimentDefinition, duration_days: int, seed: int, progress: Progress
) -> ExperimentRun:
    """Run an experiment on simulated visitors, as many as its plan needs, spread over simulated days.

    A pilot of visitors outside the experiment measures the baseline; from it follows the plan, which is written down
    before the first visitor of the experiment comes. Lists and clicks take the way of real ones: service, Kafka, Delta.

    Raises:
        ValueError: `duration_days` is out of range, no model is deployed, or nobody clicks at all.
    """
    require_days(duration_days)
    definition = msgspec.structs.replace(definition, traffic_share=1.0, slice=None, forced={})
    root = new_simulation_root(settings.root, definition)
    population = population_of(load_matrix(matrix_directory(settings.root)), settings.training.hold_out_share)
    spark = spark_session(settings)  # before the processes, with which everything ends that is started after them
    with running_system(settings, root, definition.name) as system:
        pioneers = pilot_crowd(definition, population, seed)
        metric = "conversion" if definition.kind == "interleaving" else definition.metric
        baseline = pilot(pioneers, system.address, metric, duration_days, progress)
        experiment = _begin(system, definition, plan_for(definition, baseline))
        crowd = Crowd(visitors_for(experiment, baseline.rate), population, seed)
        begins_us = _send(crowd, system.address, duration_days, progress)
        end(root, definition.name, f"its {duration_days} simulated days are over")
        days = SimulatedDays(begins_us=begins_us, population=population.description)
        write_simulated_days(root, definition.name, days)
        system.stop_service()
        _ingest(system.settings, spark, progress)
    return analyse_experiment(root, definition.name)


def require_days(duration_days: object) -> None:
    """Refuse what is no number of days.

    Raises:
        ValueError: naming the value and the rule.
    """
    if isinstance(duration_days, bool) or not isinstance(duration_days, int) or not 1 <= duration_days <= MOST_DAYS:
        raise ValueError(f"duration_days must be a whole number from 1 to {MOST_DAYS}, got {duration_days!r}")


def visitors_for(experiment: RunningExperiment, rate: float) -> list[str]:
    """User ids of the visitors that a plan needs; of an interleaving experiment, so that enough of them click.

    Args:
        experiment: with its plan.
        rate: share of users that click at all; only interleaving needs it.
    """
    definition, users = experiment.definition, experiment.users_per_arm
    if definition.kind == "interleaving":
        return [_visitor(number) for number in range(math.ceil(_MORE_THAN_ENOUGH * users / rate))]
    return participants(definition, users)


def participants(definition: ExperimentDefinition, users_per_arm: int) -> list[str]:
    """User ids as they come, until every arm has its users by the service's own assignment."""
    assigner = Assigner(definition)
    missing = dict.fromkeys(definition.variants, users_per_arm)
    names = []
    for number in count():
        assignment = assigner.assign(_visitor(number))
        if assignment is not None:
            names.append(_visitor(number))
            missing[assignment.variant] -= 1
        if max(missing.values()) <= 0:
            break
    return names


def _visitor(number: int) -> str:
    return f"visitor-{number:07d}"


def _begin(system: RunningSystem, definition: ExperimentDefinition, plan: Plan) -> RunningExperiment:
    """Write the plan down, let the service know of the experiment, and wait until it does."""
    experiment = RunningExperiment(
        definition=definition,
        started_us=time.time_ns() // 1_000,
        users_per_arm=plan.users_per_arm,
        variances=plan.variances,
    )
    begin(system.settings.root, experiment)
    system.wait_for_experiment(definition.name)
    return experiment


def _ingest(settings: Settings, spark: SparkSession, progress: Progress) -> None:
    """Bring what visitors were served and did into the tables."""
    phase = "lists and events into the tables"
    progress(phase, 0, 2)
    ingest_served_lists(settings)
    progress(phase, 1, 2)
    ingest_or_report(lambda: spark, settings)
    progress(phase, 2, 2)


def _send(crowd: Crowd, address: str, duration_days: int, progress: Progress) -> tuple[int, ...]:
    """Send the visitors of each day; returns when the days began, and when the last one was over."""
    days = tuple(visits_by_day(len(crowd.names), duration_days, np.random.default_rng(crowd.seed)))
    total, done = sum(map(len, days)), 0
    label = f"{len(crowd.names):,} visitors in {duration_days} simulated days"
    begins_us = []
    for day, visits in enumerate(days):
        begins_us.append(time.time_ns() // 1_000)
        for served in crowd.visit(address, day, visits):
            done += len(served)
            progress(label, done, total)
    return (*begins_us, time.time_ns() // 1_000 + 1)
