"""Experiments from question to kept answer: every look goes into MLflow and table `experiment_verdicts`."""

import datetime as dt

from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.logged import analyse_experiment
from recommender_assets.experiments.progress import console_progress
from recommender_assets.experiments.records import end, read_ending, read_plan, started
from recommender_assets.experiments.simulation.simulate import simulate
from recommender_assets.experiments.tracking import track
from recommender_assets.experiments.verdicts import write_verdicts
from recommender_assets.settings import Settings
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from recommender_serving.engine.running_experiments import read_running


def conduct_simulated(
    settings: Settings, definition: ExperimentDefinition, duration_days: int, seed: int
) -> ExperimentRun:
    """Run an experiment on simulated visitors with progress bars on standard error, and keep what it found.

    Raises:
        ValueError: see `simulate`.
    """
    with console_progress() as progress:
        run = simulate(settings, definition, duration_days, seed, progress)
    _keep(settings, run, dt.datetime.now(dt.UTC).date())
    return run


def look_at(settings: Settings, name: str, duration_days: int | None = None) -> ExperimentRun:
    """Analyse an experiment that was started, up to now or to so many days after its start, and keep the look.

    Raises:
        ExperimentError: it was never started.
    """
    until_us = None if duration_days is None else read_plan(settings.root, name).started_us + duration_days * DAY_US
    run = analyse_experiment(settings.root, name, until_us)
    _keep(settings, run, dt.datetime.now(dt.UTC).date())
    return run


def report_day(settings: Settings, day: dt.date) -> tuple[ExperimentRun, ...]:
    """Look at every experiment that ran on a day as of its end, keep the looks, and stop what its rule says is over.

    Args:
        settings: the project's.
        day: in UTC; of the present day, everything so far counts.
    """
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    first_us = int(midnight.timestamp()) * 1_000_000
    runs = []
    for name in started(settings.root):
        if not _ran_on(settings, name, first_us):
            continue
        run = analyse_experiment(settings.root, name, first_us + DAY_US)
        _keep(settings, run, day)
        runs.append(run)
        running = any(one.definition.name == name for one in read_running(settings.root))
        if running and (reason := run.reason_to_stop):
            end(settings.root, name, reason)
    return tuple(runs)


def _ran_on(settings: Settings, name: str, first_us: int) -> bool:
    ending = read_ending(settings.root, name)
    began = read_plan(settings.root, name).started_us < first_us + DAY_US
    return began and (ending is None or ending.stopped_us >= first_us)


def _keep(settings: Settings, run: ExperimentRun, day: dt.date) -> None:
    write_verdicts(settings.root, run, day)
    track(settings, run)
