"""Real runs of the definitions on a temporary Dagster instance, with the real broker, Spark, Delta and MLflow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pyarrow.compute as pc
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession

from recommender_assets.definitions import defs
from recommender_assets.defs import resources as resource_definitions
from recommender_assets.defs.automation import kafka_offset_sensor
from recommender_assets.ingestion import sources
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.ingestion.topic_position import topic_id
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import HistorySettings, Settings

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::dagster.BetaWarning"
)  # of MLflow, Alembic and dagster-mlflow


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def execute(job: str, settings: Settings, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    definition = defs().resolve_job_def(job)
    return definition.execute_in_process(instance=instance, resources={"settings": settings}, raise_on_error=False)


def send(settings: Settings, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    for value in values:
        producer.produce(settings.streaming.topic, value, partition=0)
    assert producer.flush(10) == 0


def test_a_range_of_months_is_imported_by_one_run(
    settings: Settings, spark: SparkSession, instance: dg.DagsterInstance
) -> None:
    from recommender_assets.defs.interactions.assets import interaction_history

    months = {"dagster/asset_partition_range_start": "1996-01", "dagster/asset_partition_range_end": "1996-03"}
    resources = {"settings": settings, "spark": resource_definitions.spark}
    result = dg.materialize([interaction_history], instance=instance, resources=resources, tags=months)
    assert result.success
    events = result.asset_materializations_for_node("interaction_history")
    assert sorted(event.partition for event in events if event.partition) == ["1996-01", "1996-02", "1996-03"]
    ratings = sources.ratings()
    expected = pc.and_(pc.equal(pc.year(ratings["timestamp"]), 1996), pc.less(pc.month(ratings["timestamp"]), 4))
    rows = read_table(settings.root, "interaction_history").num_rows
    assert rows == pc.sum(expected).as_py() > 0
    assert events[0].metadata["imported"].value == rows


def test_twenty_years_of_a_csv_are_one_run_and_empty_months_materialise(
    settings: Settings, spark: SparkSession, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    from recommender_assets.defs.interactions.assets import interaction_history

    path = tmp_path / "ratings.csv"
    rows = ["7,1,4,1996-05-06T00:00:00Z", "7,2,5,2014-12-31T23:59:59Z", "7,3,5,2015-01-01T00:00:00Z", "7,4,9,820454400"]
    path.write_text("\n".join(["user_id,item_id,rating,timestamp", *rows]), encoding="utf-8")
    settings = msgspec.structs.replace(settings, history=HistorySettings(source="csv", path=str(path)))
    months = {"dagster/asset_partition_range_start": "1995-01", "dagster/asset_partition_range_end": "2014-12"}
    resources = {"settings": settings, "spark": resource_definitions.spark}
    result = dg.materialize([interaction_history], instance=instance, resources=resources, tags=months)
    events = result.asset_materializations_for_node("interaction_history")
    assert len({event.partition for event in events}) == 240
    counts = {name: events[0].metadata[name].value for name in ("imported", "duplicate", "rejected", "outside")}
    assert counts == {"imported": 2, "duplicate": 0, "rejected": 1, "outside": 1}
    assert [row["reason"] for row in read_table(settings.root, "rejected_history").to_pylist()] == [
        "rating_out_of_scale"
    ]


def test_a_failed_ingestion_check_stops_everything_downstream(
    settings: Settings, topic: str, spark: SparkSession, instance: dg.DagsterInstance
) -> None:
    send(settings, *[b"not an event"] * 5)
    create_tables(settings.root)
    broker_id = topic_id(settings.streaming, topic)
    for first, end in ((0, 2), (3, 5)):
        append_rows(settings.root, topic, broker_id, [LedgerRow(0, first, end, rejected=end - first)])
    result = execute("recommendation_job", settings, instance)
    assert not result.success
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["offsets_are_contiguous"].passed
    assert "expected offset 2 next, found 3" in (checks["offsets_are_contiguous"].description or "")
    assert not checks["every_record_is_accounted_for"].passed
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert made == {"interactions"}


def test_training_on_nothing_fails_clearly_and_mlflow_shows_it(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    from recommender_assets.promotion.registry import Registry

    create_tables(settings.root)
    result = execute("train_job", settings, instance)
    failure = result.failure_data_for_node("user_item_matrix")
    assert failure is not None
    assert "import a history or ingest events first" in failure.error.to_string()  # type: ignore[union-attr]
    registry = Registry(settings)
    (run,) = registry.client.search_runs([registry.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["dagster_run_id"] == result.run_id


def test_the_sensor_sees_the_real_topic(settings: Settings, instance: dg.DagsterInstance) -> None:
    streaming = settings.streaming
    admin = AdminClient({"bootstrap.servers": streaming.kafka_bootstrap_servers})

    def tick(cursor: str | None = None) -> Any:
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"settings": settings}) as context:
            return kafka_offset_sensor.evaluate_tick(context)

    def create() -> str:
        assert create_topic(settings)
        return topic_id(streaming, streaming.topic)

    assert "does not exist" in tick().skip_message
    first_id = create()
    assert tick().skip_message == "nothing after the ledger's position"
    send(settings, b"one", b"two", b"three")
    wanted = tick()
    assert [request.job_name for request in wanted.run_requests] == ["recommendation_job"]
    assert msgspec.json.decode(wanted.cursor)["end_offsets"] == {"0": 3}
    append_rows(settings.root, streaming.topic, first_id, [LedgerRow(0, 0, 3, rejected=3)])
    assert tick(wanted.cursor).skip_message == "nothing after the ledger's position"
    admin.delete_topics([streaming.topic])[streaming.topic].result(10)
    assert create() != first_id
    again = tick(wanted.cursor)
    assert not again.run_requests
    assert "recommender accept-topic" in again.skip_message
