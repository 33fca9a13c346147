"""The MLflow side of an experiment: one run with its plan, its daily curve, its verdict and its plot."""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.report import figures
from recommender_assets.experiments.result import ExperimentResult
from recommender_assets.presentation.pages import page
from recommender_assets.presentation.plots import image
from recommender_assets.presentation.tables import key_value_table
from recommender_assets.promotion.registry import Registry
from recommender_assets.settings import Settings

_EXPERIMENT_TAG = "recommender.experiment"
_START_TAG = "recommender.experiment.started_us"


def track(settings: Settings, run: ExperimentRun) -> str:
    """Write a look at an experiment into its MLflow run; a later look adds its days and replaces plot and verdict.

    Returns:
        the MLflow run id.
    """
    registry = Registry(settings)
    client = registry.client
    run_id = _run_of(client, registry.experiment_id, run)
    now = time.time_ns() // 1_000_000
    curve = [Metric(name, value, now, day) for result in run.results for name, value, day in _curve(result)]
    tags = {
        f"{result.treatment}.{field}": str(result[field]) for result in run.results for field in ("decision", "reason")
    }
    client.log_batch(run_id, metrics=[*curve, *_verdict_metrics(run, now)])
    for key, value in {**tags, "traffic": run.results[0].traffic}.items():
        client.set_tag(run_id, key, value)
    sections = {f"{result.treatment}": key_value_table(figures(run, result)) for result in run.results}
    client.log_text(
        run_id, page(run.definition.name, {**sections, "effect": image("effect", run.plot())}), "report.html"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "effect_by_day.png"
        path.write_bytes(run.plot())
        client.log_artifact(run_id, str(path))
    client.set_terminated(run_id)
    return run_id


def _run_of(client: MlflowClient, experiment_id: str, run: ExperimentRun) -> str:
    name, started = run.definition.name, str(run.experiment.started_us)
    known = client.search_runs(
        [experiment_id], f"tags.`{_EXPERIMENT_TAG}` = '{name}' and tags.`{_START_TAG}` = '{started}'", max_results=1
    )
    if known:
        return str(known[0].info.run_id)
    tags = {_EXPERIMENT_TAG: name, _START_TAG: started}
    run_id: str = client.create_run(experiment_id, tags=tags, run_name=f"experiment {name}").info.run_id
    client.log_batch(run_id, params=[Param(key, value) for key, value in _parameters(run).items()])
    client.log_text(run_id, msgspec.json.encode(run.experiment).decode(), "plan.json")
    return run_id


def _parameters(run: ExperimentRun) -> dict[str, str]:
    definition = run.definition
    fixed = ("metric", "kind", "min_effect_size", "statistical_power", "significance_level", "stop_rule")
    variants = {f"variant.{arm}": msgspec.json.encode(variant).decode() for arm, variant in definition.variants.items()}
    planned = {"users_per_arm": str(run.experiment.users_per_arm)}
    return {field: str(getattr(definition, field)) for field in fixed} | variants | planned


def _curve(result: ExperimentResult) -> Iterator[tuple[str, float, int]]:
    for look in result.looks:
        found = {"difference": look.difference, "p_value": look.p_value, "users": float(look.users)}
        ends = {"difference_low": look.interval[0], "difference_high": look.interval[1]}
        for name, value in (found | ends).items():
            if math.isfinite(value):
                yield f"daily.{result.treatment}.{name}", value, look.day


def _verdict_metrics(run: ExperimentRun, now_ms: int) -> Iterator[Metric]:
    for result in run.results:
        for name in ("lift", "difference", "p_value", "effect_size", "power", "sample_ratio_p_value"):
            value = result[name]
            if value is not None and math.isfinite(value):
                yield Metric(f"{result.treatment}.{name}", value, now_ms, 0)
