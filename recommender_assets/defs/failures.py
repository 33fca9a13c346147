"""What is done about a failed run besides asking for it again."""

import dagster as dg

from recommender_assets.settings import Settings, load_settings


@dg.run_failure_sensor(
    minimum_interval_seconds=load_settings().dagster.sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def failure_webhook_sensor(
    context: dg.RunFailureSensorContext, settings: dg.ResourceParam[Settings]
) -> dg.SkipReason | None:
    """Post every failed run to `dagster.failure_webhook`; a post that does not get through fails this sensor's tick."""
    from recommender_assets.automation.failure_webhook import FailedRun, post_failure

    rules = settings.dagster
    if not rules.failure_webhook:
        return dg.SkipReason("dagster.failure_webhook is empty")
    run = context.dagster_run
    steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
    error = "; ".join([context.failure_event.message or "", *(f"failed step: {step}" for step in steps)])
    failed = FailedRun(
        text=f"Dagster run {run.run_id[:8]} of {run.job_name} failed: {', '.join(steps) or error}",
        job=run.job_name,
        run_id=run.run_id,
        error=error,
        url=f"http://localhost:{rules.port}/runs/{run.run_id}",
    )
    post_failure(rules.failure_webhook, failed, rules.failure_webhook_seconds)
    return None
