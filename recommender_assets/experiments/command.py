"""What `recommender experiment` does, and what it prints."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec

from recommender_assets.experiments.analysis import Plan
from recommender_assets.experiments.conduct import conduct_simulated, look_at, promote_winner_of
from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.logged import observed_baseline
from recommender_assets.experiments.planning import forecast, plan_for
from recommender_assets.experiments.records import begin, end, started
from recommender_assets.experiments.report import figures, headline
from recommender_assets.experiments.simulation.simulate import require_days
from recommender_assets.experiments.simulation.storage import require_deployed
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from recommender_serving.engine.running_experiments import RunningExperiment


def was_started(settings: Settings, name: str) -> bool:
    """Whether there is an experiment of that name with real users, running or over."""
    return name in started(settings.root)


def simulated(
    settings: Settings, definition: ExperimentDefinition, duration_days: int, seed: int, *, as_json: bool
) -> Iterator[str]:
    """Run an experiment on simulated visitors."""
    yield from _shown(settings, conduct_simulated(settings, definition, duration_days, seed), as_json=as_json)


def analysed(settings: Settings, name: str, *, as_json: bool) -> Iterator[str]:
    """Analyse an experiment that was started, up to now."""
    yield from _shown(settings, look_at(settings, name), as_json=as_json)


def plan_lines(settings: Settings, definition: ExperimentDefinition, duration_days: int) -> Iterator[str]:
    """What an experiment would take, from what was observed lately."""
    require_days(duration_days)
    baseline = observed_baseline(settings.root, definition.metric)
    plan = plan_for(definition, baseline.moments)
    expected = forecast(definition, plan, baseline.users_per_day, duration_days)
    yield from _table(
        {
            "observed": f"{definition.metric} {baseline.moments.rate:.4f}, {baseline.source}",
            "users per day": f"{baseline.users_per_day:,.0f}",
            "users per arm": f"{plan.users_per_arm:,} to find {definition.min_effect_size:g} (absolute) "
            f"with power {definition.statistical_power:g}",
            "days needed": f"{expected.days:,}",
            "detectable": f"{expected.detectable:.4f} within {duration_days} days",
        }
    )


def start(settings: Settings, definition: ExperimentDefinition) -> Iterator[str]:
    """Write question, plan and stop rule down and let users take part; of a running one, change the traffic."""
    pointer = read_pointer(settings.root)
    if pointer is None:
        raise ValueError("no model is deployed: train one first (`make demo`, or `recommender train`)")
    require_deployed(settings.root, definition, pointer)
    plan = plan_for(definition, observed_baseline(settings.root, definition.metric).moments)
    experiment = begin(settings.root, _experiment(definition, plan))
    yield f"experiment {definition.name} runs for {experiment.definition.traffic_share:.0%} of the users"
    yield f"it ends when every arm has {experiment.users_per_arm:,} users; stop rule: {definition.stop_rule}"


def stop(settings: Settings, name: str) -> Iterator[str]:
    """Let nobody take part any more."""
    end(settings.root, name, "stopped by hand")
    yield f"experiment {name} has stopped; its lists and verdicts stay in the tables"


def promote(settings: Settings, name: str) -> Iterator[str]:
    """Make the variant that won the champion."""
    pointer = promote_winner_of(settings, name)
    yield f"champion is {pointer.version}, in place of {pointer.predecessor}"


def _experiment(definition: ExperimentDefinition, plan: Plan) -> RunningExperiment:
    now_us = time.time_ns() // 1_000
    return RunningExperiment(
        definition=definition, started_us=now_us, users_per_arm=plan.users_per_arm, variances=plan.variances
    )


def _shown(settings: Settings, run: ExperimentRun, *, as_json: bool) -> Iterator[str]:
    """For people a table and a sentence for each treatment, for programs one JSON object; and where the plot is."""
    plot = _write_plot(settings, run)
    if as_json:
        results = [asdict(result) for result in run.results]  # what is not finite becomes null
        yield msgspec.json.encode({"experiment": run.experiment, "results": results, "plot": str(plot)}).decode()
        return
    for result in run.results:
        yield from _table(figures(run, result))
        yield f"\n{headline(result)}"
    yield f"plot: {plot}"


def _write_plot(settings: Settings, run: ExperimentRun) -> Path:
    name, traffic = run.definition.name, run.results[0].traffic
    path = settings.root / "experiments" / "plots" / f"{name}_{traffic}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(run.plot())
    return path


def _table(rows: dict[str, str]) -> Iterator[str]:
    width = max(map(len, rows))
    yield from (f"{name:<{width}}  {value}" for name, value in rows.items())
