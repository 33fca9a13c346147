"""What experiments have found, day by day."""

import datetime as dt

import dagster as dg

from recommender_assets.defs.jobs import RETRIED_WHOLE
from recommender_assets.defs.owners import OWNERS
from recommender_assets.defs.table_metadata import table_metadata
from recommender_assets.settings import Settings

FIRST_DAY = "2026-01-01"
experiment_days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, end_offset=1)


@dg.asset(
    deps=["recommendation_log", "interactions"],
    group_name="experiments",
    owners=OWNERS,
    kinds={"python", "deltalake", "mlflow"},
    partitions_def=experiment_days,
    code_version="1",
    metadata=table_metadata("experiment_verdicts"),
)
def experiment_report(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[None]:
    """Every experiment that ran on a day, as of its end: figures, verdict, and the effect with its confidence sequence.

    One row per treatment goes to `experiment_verdicts`, the daily curve to the experiment's MLflow run. What its stop
    rule says is over, or what breaks a guardrail, is stopped.
    """
    from recommender_assets.experiments.conduct import report_day
    from recommender_assets.experiments.report import report_sections

    runs = report_day(settings, context.partition_time_window.start.date())
    sections = {name: text for run in runs for name, text in report_sections(run).items()}
    return dg.MaterializeResult(
        metadata={
            "experiments": len(runs),
            "stopped": [run.definition.name for run in runs if run.reason_to_stop],
            **{name: dg.MetadataValue.md(text) for name, text in sections.items()},
        }
    )


experiment_report_job = dg.define_asset_job(
    "experiment_report_job",
    dg.AssetSelection.assets("experiment_report"),
    description="Look at every experiment that ran on a day.",
    tags=RETRIED_WHOLE,
)


@dg.schedule(job=experiment_report_job, cron_schedule="15 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def experiment_report_schedule(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    """Look at the running experiments every hour, so that a broken guardrail stops within one; skip without any.

    The first look after midnight is the last one at the day before.
    """
    from recommender_serving.engine.running_experiments import read_running

    running = [one.definition.name for one in read_running(settings.root)]
    if not running:
        return dg.SkipReason("no experiment is running")
    day = context.scheduled_execution_time - dt.timedelta(hours=1)
    return dg.RunRequest(partition_key=day.strftime("%Y-%m-%d"))
