"""What starts runs by itself: offsets start ingestion, new interactions training, and conditions what follows."""

import time

import dagster as dg
import msgspec
from confluent_kafka import KafkaException

from recommender_assets.automation import ingestion_trigger, retraining_trigger
from recommender_assets.automation.ingestion_trigger import IngestionCursor, Writer, decide_ingestion
from recommender_assets.automation.retraining_trigger import LatestDecision, RetrainingCursor, decide_retraining
from recommender_assets.automation.sensor_cursor import cursor_text, read_cursor
from recommender_assets.defs.jobs import INGESTS, TRAINS, ingest_job, recommendation_job, train_job
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, TopicMissingError, topic_state
from recommender_assets.ingestion.writer_lease import lease_holder
from recommender_assets.promotion.decisions import latest_decision
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.manifest import Position

INTERVAL_SECONDS = load_settings().dagster.sensor_interval_seconds
FOLLOWERS_INTERVAL_SECONDS = 30  # none of them is waited for; a first import gets its champion undisturbed
REASON_TAG = "recommender/reason"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    jobs=[ingest_job, recommendation_job],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def kafka_offset_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """Start ingestion when a rule of section `ingestion` holds; without a champion, training too.

    Reads watermarks only. A request that brought no progress is repeated after 30 s, 60 s and so on up to half an hour.
    While another process (`recommender stream`) writes the tables, a run reports what that one ingested.
    """
    if run := unfinished_run(context.instance, INGESTS):
        return dg.SkipReason(f"run {run} is ingesting")
    create_tables(settings.root)
    topic = settings.streaming.topic
    cursor = ingestion_trigger.follow_ledger(settings.root, topic, read_cursor(context.cursor, IngestionCursor))
    try:
        topic_id, marks = topic_state(settings.streaming, topic)
    except TopicMissingError as reason:
        return dg.SensorResult(skip_reason=str(reason), cursor=cursor_text(cursor))
    except (BrokerUnreachableError, KafkaException) as error:
        return _broker_is_down(context, settings, cursor, error)
    ingestion = decide_ingestion(
        topic_id,
        marks,
        cursor.position(topic),
        cursor,
        settings.ingestion,
        time.time(),
        _writer(context.instance, settings),
    )
    if ingestion.skip is not None:
        return dg.SensorResult(skip_reason=ingestion.skip, cursor=cursor_text(ingestion.cursor))
    job = ingest_job if read_pointer(settings.root) else recommendation_job
    seen = dg.AssetMaterialization(
        "user_interactions_topic",
        metadata={"topic_id": topic_id, "end_offsets": ingestion.cursor.end_offsets, "pending": ingestion.pending},
    )
    request = dg.RunRequest(job_name=job.name, tags={REASON_TAG: ingestion.reason})
    return dg.SensorResult(run_requests=[request], cursor=cursor_text(ingestion.cursor), asset_events=[seen])


@dg.sensor(
    job=train_job,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def retraining_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """Start training when a rule `training.retrain_after_*` holds for what is new since the latest decision.

    New is what was accepted from the topic, and what was imported, a minute after the import. Without any decision yet,
    as after a failed first run, one interaction is enough. A failed run is repeated after 30 s, 60 s and so on; after
    `training.retrain_attempts` of them it waits for a person.
    """
    if run := unfinished_run(context.instance, TRAINS):
        return dg.SkipReason(f"run {run} is training")
    create_tables(settings.root)
    latest = _latest_decision(settings)
    cursor = read_cursor(context.cursor, RetrainingCursor)
    cursor = retraining_trigger.follow_data(settings.root, settings.streaming.topic, latest, cursor)
    retraining = decide_retraining(cursor, latest, settings.training, time.time())
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags={REASON_TAG: retraining.reason})] if retraining.skip is None else [],
        skip_reason=retraining.skip,
        cursor=cursor_text(retraining.cursor),
    )


followers_sensor = dg.AutomationConditionSensorDefinition(
    "followers_sensor",
    target=dg.AssetSelection.assets("user_profiles", "item_profiles", "reduced_features"),
    description="Brings profiles and features up to date with data that were written outside a run that does so.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=FOLLOWERS_INTERVAL_SECONDS,
)
judgement_sensor = dg.AutomationConditionSensorDefinition(
    "judgement_sensor",
    target=dg.AssetSelection.assets("evaluation_report", "champion"),
    description="Evaluates a model that was trained by hand, and decides whether it becomes the champion.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=FOLLOWERS_INTERVAL_SECONDS,
    run_tags=TRAINS,
)


def unfinished_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> str | None:
    """Id of a run with these tags that has not ended."""
    runs = instance.get_runs(dg.RunsFilter(tags=tags, statuses=UNFINISHED), limit=1)
    return runs[0].run_id if runs else None


def _broker_is_down(
    context: dg.SensorEvaluationContext, settings: Settings, cursor: IngestionCursor, error: Exception
) -> dg.SensorResult:
    reason = f"the broker at {settings.streaming.kafka_bootstrap_servers} does not answer: {error}"
    if not cursor.is_broker_down:
        context.log.warning(reason)
    return dg.SensorResult(skip_reason=reason, cursor=cursor_text(msgspec.structs.replace(cursor, is_broker_down=True)))


def _writer(instance: dg.DagsterInstance, settings: Settings) -> Writer | None:
    holder = lease_holder(settings.root)
    if holder is None:
        return None
    event = instance.get_latest_materialization_event(dg.AssetKey("interactions"))
    return Writer(name=holder, reported_at=event.timestamp if event else 0.0)


def _latest_decision(settings: Settings) -> LatestDecision | None:
    record = latest_decision(settings.root)
    if record is None:
        return None
    position = record.position or Position()
    return LatestDecision(
        decided_at=record.decided_at.isoformat(),
        topic_id=position.topic_id,
        next_offsets=position.next_offsets,
        history_version=position.table_versions.get("interaction_history"),
        interactions=record.interactions or 0,
    )
