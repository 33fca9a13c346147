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
from recommender_assets.promotion.experiment_winner import promote_winner
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from recommender_serving.engine.running_experiments import ExperimentError, read_running


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


def promote_winner_of(settings: Settings, name: str) -> ChampionPointer:
    """Make the variant that won an experiment with real users the champion, if the promotion policy has no objection.

    Raises:
        ExperimentError: it was never started, its visitors were simulated, no treatment has won, or what won is more
            than a model.
        WinnerRefusedError: see `promote_winner`.
    """
    run = analyse_experiment(settings.root, name)
    winner = run.winner
    if winner is None or winner.traffic == "simulated":
        decisions = ", ".join(f"{result.treatment}: {result.decision}" for result in run.results)
        raise ExperimentError(f"experiment {name!r} has no winner among real users ({decisions})")
    variant = run.definition.variants[winner.treatment]
    if variant.popularity_discount or variant.diversity:
        raise ExperimentError(
            f"variant {winner.treatment!r} is more than a model: popularity_discount {variant.popularity_discount:g} "
            f"and diversity {variant.diversity:g} are not the champion's to hold; ask for them with every list"
        )
    pointer = read_pointer(settings.root)
    version = variant.version or (pointer.deployed.get(variant.algorithm) if pointer else None) or variant.algorithm
    return promote_winner(settings, version, f"experiment {name}: {winner.reason}")


def _ran_on(settings: Settings, name: str, first_us: int) -> bool:
    ending = read_ending(settings.root, name)
    began = read_plan(settings.root, name).started_us < first_us + DAY_US
    return began and (ending is None or ending.stopped_us >= first_us)


def _keep(settings: Settings, run: ExperimentRun, day: dt.date) -> None:
    write_verdicts(settings.root, run, day)
    track(settings, run)
