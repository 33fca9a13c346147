"""What brings served lists into their table by itself."""

import time

import dagster as dg
from confluent_kafka import KafkaException

from recommender_assets.automation.log_trigger import LogCursor, decide_log_ingestion
from recommender_assets.automation.sensor_cursor import cursor_text, read_cursor
from recommender_assets.defs.automation import INTERVAL_SECONDS, REASON_TAG, unfinished_run
from recommender_assets.ingestion.served_lists import log_position, unread
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, TopicMissingError, topic_state
from recommender_assets.settings import Settings

INGESTS_LOG = {"recommender/ingests-log": "true"}

recommendation_log_job = dg.define_asset_job(
    "recommendation_log_job",
    dg.AssetSelection.assets("recommendation_log"),
    description="Bring served lists from their topic into their table.",
    tags=INGESTS_LOG,
)


@dg.sensor(
    job=recommendation_log_job,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def recommendation_log_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """Bring served lists into their table at most every `recommendation_log.ingest_interval_seconds`.

    Reads watermarks only.
    """
    if run := unfinished_run(context.instance, INGESTS_LOG):
        return dg.SkipReason(f"run {run} reads the served lists")
    create_tables(settings.root)
    log = settings.recommendation_log
    try:
        topic_id, marks = topic_state(settings.streaming, log.topic)
    except (TopicMissingError, BrokerUnreachableError, KafkaException) as error:
        return dg.SkipReason(str(error))
    position = f"{topic_id} {sorted(log_position(settings.root, topic_id, marks).items())}"
    decision = decide_log_ingestion(
        position,
        unread(settings.root, topic_id, marks),
        read_cursor(context.cursor, LogCursor),
        log.ingest_interval_seconds,
        time.time(),
    )
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags={REASON_TAG: decision.reason})] if decision.skip is None else [],
        skip_reason=decision.skip,
        cursor=cursor_text(decision.cursor),
    )
