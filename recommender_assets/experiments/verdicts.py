"""Table `experiment_verdicts`: what every experiment looked like at the end of each day it was looked at."""

import datetime as dt
from pathlib import Path

import pyarrow as pa

from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.result import ExperimentResult, Interval
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, replace_in_table, table_path


def write_verdicts(root: Path, run: ExperimentRun, day: dt.date) -> None:
    """Write one row per treatment; what an earlier look at the same day wrote is replaced."""
    create_tables(root)
    rows = [_row(run, result, day) for result in run.results]
    replace_in_table(
        table_path(root, "experiment_verdicts"),
        pa.Table.from_pylist(rows, schema=SCHEMAS["experiment_verdicts"]),
        predicate=f"experiment = '{run.definition.name}' AND day = '{day.isoformat()}'",
    )


def _row(run: ExperimentRun, result: ExperimentResult, day: dt.date) -> dict[str, object]:
    low, high = _ends(result.confidence_interval)
    difference_low, difference_high = _ends(result.difference_interval)
    return {
        "experiment": result.experiment,
        "treatment": result.treatment,
        "day": day,
        "metric": result.metric,
        "decision": result.decision,
        "reason": result.reason,
        "traffic": result.traffic,
        "control_rate": result.rates.get("control"),
        "treatment_rate": result.rates.get(result.treatment),
        "lift": result.lift,
        "lift_low": low,
        "lift_high": high,
        "difference": result.difference,
        "difference_low": difference_low,
        "difference_high": difference_high,
        "p_value": result.p_value,
        "effect_size": result.effect_size,
        "power": result.power,
        "planned_users": result.sample_size,
        "users": dict(result.samples),
        "sample_ratio_p_value": result.sample_ratio_p_value,
        "definition": run.definition.fingerprint,
        "started_at": dt.datetime.fromtimestamp(run.experiment.started_us / 1e6, dt.UTC),
        "written_at": dt.datetime.now(dt.UTC),
    }


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return interval if interval is not None else (None, None)
