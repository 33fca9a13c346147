"""What takes a champion out of service by itself."""

import time

import dagster as dg
import msgspec

from recommender_assets.automation import live_guardrails
from recommender_assets.automation.sensor_cursor import cursor_text, read_cursor
from recommender_assets.automation.service_scrape import scrape_all
from recommender_assets.defs.champion.rollback import ROLL_BACK_OP, rollback_job
from recommender_assets.promotion.decisions import ROLLBACKS, read_decisions
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer


@dg.sensor(
    job_name=rollback_job.name,  # by name: Dagster warns of its own beta parameter when it is given the job
    minimum_interval_seconds=load_settings().dagster.sensor_interval_seconds,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def live_guardrail_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """Roll the champion back when a limit of `promotion.live_guardrails` breaks in the service's own metrics.

    Every five minutes it also compares the clicks in the recommendation log with those under the champion before.
    Judged are windows of at least `minimum_requests`, counted by replicas that serve this champion, and not before
    `grace_minutes` after its promotion. A service that does not answer says nothing about its champion.
    """
    pointer = read_pointer(settings.root)
    if pointer is None:
        return dg.SkipReason("there is no champion yet")
    rules = settings.promotion.live_guardrails
    scrapes, silent = scrape_all(settings.service_addresses)
    in_grace = live_guardrails.is_in_grace(pointer, rules, time.time())
    cursor = read_cursor(context.cursor, live_guardrails.GuardrailCursor)
    cursor = live_guardrails.follow_service(cursor, pointer, scrapes, in_grace=in_grace)
    fault, cursor = _click_through_fault(settings, pointer, cursor)
    if not scrapes and fault is None:
        return dg.SensorResult(skip_reason="; ".join(silent), cursor=cursor_text(cursor))
    by_rollback = _came_by_rollback(settings, pointer)
    found = live_guardrails.judge(cursor, pointer, rules, came_by_rollback=by_rollback, click_through_fault=fault)
    if found.skip is not None:
        return dg.SensorResult(skip_reason="; ".join([found.skip, *silent]), cursor=cursor_text(found.cursor))
    context.log.error("champion %s is rolled back: %s", pointer.version, found.reason)
    request = dg.RunRequest(
        run_key=f"rollback of {live_guardrails.champion_key(pointer)}",
        run_config={
            "ops": {ROLL_BACK_OP: {"config": {"reason": found.reason, "broken_guardrail_of": pointer.version}}}
        },
        tags={"recommender/reason": found.reason},
    )
    return dg.SensorResult(run_requests=[request], cursor=cursor_text(found.cursor))


def _click_through_fault(
    settings: Settings, pointer: ChampionPointer, cursor: live_guardrails.GuardrailCursor
) -> tuple[str | None, live_guardrails.GuardrailCursor]:
    """What the recommendation log says against the champion, and the cursor with the time of that look."""
    from recommender_assets.experiments.live_click_through import click_through, click_through_fault

    rules, now = settings.promotion.live_guardrails, time.time()
    if not live_guardrails.is_log_due(cursor, rules, now):
        return None, cursor
    found = click_through(settings.root, pointer, rules, int(now * 1e6))
    fault = None if found is None else click_through_fault(found, pointer, rules)
    return fault, msgspec.structs.replace(cursor, log_read_at=now)


def _came_by_rollback(settings: Settings, pointer: ChampionPointer) -> bool:
    rows = read_decisions(settings.root)
    return bool(rows) and rows[-1].kind in ROLLBACKS and rows[-1].champion == pointer.version
