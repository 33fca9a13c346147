import datetime as dt
import time
from pathlib import Path

import dagster as dg
import pytest

from recommender_assets.defs.experiments.reports import experiment_report_schedule
from recommender_assets.experiments.records import begin
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import RunningExperiment
from tests.matrices import default_settings

VARIANTS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def tick(root: Path, at: str) -> dg.RunRequest | dg.SkipReason:
    with dg.build_schedule_context(
        scheduled_execution_time=dt.datetime.fromisoformat(at), resources={"settings": default_settings(str(root))}
    ) as context:
        result = experiment_report_schedule(context)
    assert isinstance(result, dg.RunRequest | dg.SkipReason)
    return result


def test_without_a_running_experiment_nothing_is_reported(tmp_path: Path) -> None:
    skipped = tick(tmp_path, "2026-03-01T09:15:00+00:00")
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "no experiment is running"


@pytest.mark.parametrize(
    ("at", "day"), [("2026-03-01T09:15:00+00:00", "2026-03-01"), ("2026-03-01T00:15:00+00:00", "2026-02-28")]
)
def test_a_running_one_is_looked_at_every_hour_and_at_last_after_midnight(tmp_path: Path, at: str, day: str) -> None:
    definition = ExperimentDefinition(name="one", variants=VARIANTS)
    now_us = time.time_ns() // 1_000
    begin(
        tmp_path,
        RunningExperiment(definition=definition, started_us=now_us, users_per_arm=10, variances=(0.1, 0.1)),
    )
    request = tick(tmp_path, at)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == day


def test_the_schedule_runs_by_default_once_an_hour() -> None:
    assert experiment_report_schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert experiment_report_schedule.cron_schedule == "15 * * * *"
