"""What starts runs by itself: the topic's offsets start ingestion, enough new interactions start training."""

import time

import dagster as dg
import msgspec
from confluent_kafka import KafkaException

from recommender_assets.automation.ingestion_trigger import decide_ingestion, read_cursor
from recommender_assets.automation.retraining_trigger import accepted_since, decide_retraining, read_attempts
from recommender_assets.defs.jobs import INGESTS, TRAINS, ingestion_job, recommendation_job, training_job
from recommender_assets.ingestion.ledger import ledger_position
from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, TopicMissingError, topic_id, watermarks
from recommender_assets.promotion.contest import latest_decision
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer

INTERVAL_SECONDS = load_settings().dagster.sensor_interval_seconds
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    jobs=[ingestion_job, recommendation_job],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def kafka_offset_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """Start ingestion when the topic holds records after the ledger's position; without a champion, training too.

    Reads watermarks only. A request that brought no progress is repeated after 30 s, 60 s and so on up to half an hour.
    """
    if run := _unfinished(context.instance, INGESTS):
        return dg.SkipReason(f"run {run} is ingesting")
    bootstrap, topic = settings.streaming.kafka_bootstrap_servers, settings.streaming.topic
    try:
        current_id, marks = topic_id(bootstrap, topic), watermarks(bootstrap, topic)
    except (TopicMissingError, BrokerUnreachableError) as reason:
        return dg.SkipReason(str(reason))
    except KafkaException as error:
        return dg.SkipReason(f"the broker at {bootstrap} does not answer: {error}")
    create_tables(settings.root)
    position = ledger_position(settings.root, topic)
    ingestion = decide_ingestion(current_id, marks, position, read_cursor(context.cursor), time.time())
    cursor = msgspec.json.encode(ingestion.cursor).decode()
    if ingestion.skip is not None:
        return dg.SensorResult(skip_reason=ingestion.skip, cursor=cursor)
    job = ingestion_job if read_pointer(settings.root) else recommendation_job
    seen = dg.AssetMaterialization(
        "user_interactions",
        metadata={"topic_id": current_id, "end_offsets": ingestion.cursor.end_offsets, "pending": ingestion.pending},
    )
    return dg.SensorResult(run_requests=[dg.RunRequest(job_name=job.name)], cursor=cursor, asset_events=[seen])


@dg.sensor(
    job=training_job,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def retraining_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """Start training when `training.retrain_after_interactions` were accepted since the latest promotion decision.

    Without any decision yet, as after a failed first run, one interaction is enough.
    """
    if run := _unfinished(context.instance, TRAINS):
        return dg.SkipReason(f"run {run} is training")
    create_tables(settings.root)
    decided = latest_decision(settings.root)
    position = decided.contest.position if decided else None
    ledger = read_table(settings.root, "ingestion_ledger").to_pylist()
    retraining = decide_retraining(
        accepted_since(ledger, position.topic_id if position else "", position.next_offsets if position else {}),
        settings.training.retrain_after_interactions,
        str(sorted(position.next_offsets.items())) if position else None,
        read_attempts(context.cursor),
        time.time(),
    )
    return dg.SensorResult(
        run_requests=[dg.RunRequest()] if retraining.skip is None else [],
        skip_reason=retraining.skip,
        cursor=msgspec.json.encode(retraining.attempts).decode(),
    )


def _unfinished(instance: dg.DagsterInstance, tags: dict[str, str]) -> str | None:
    runs = instance.get_runs(dg.RunsFilter(tags=tags, statuses=UNFINISHED), limit=1)
    return runs[0].run_id if runs else None
