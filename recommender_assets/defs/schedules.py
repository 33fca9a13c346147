"""What runs by the clock."""

import dagster as dg

from recommender_assets.defs.jobs import check_job

check_schedule = dg.ScheduleDefinition(
    job=check_job,
    cron_schedule="@hourly",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Missing events start no run, so the clock asks for them.",
)
