"""The streaming query against a real broker, Spark and Delta."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from recommender_assets.ingestion import micro_batch, streaming_query
from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.commits import append_rows, commit_files
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.streaming_query import ingest_available
from recommender_assets.ingestion.tables import read_table
from recommender_assets.ingestion.topic_position import (
    DataExpiredError,
    TopicMissingError,
    TopicReplacedError,
    accept_topic,
)
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings


def event(number: int, **changes: object) -> bytes:
    fields = {"user_id": f"u{number}", "item_id": number, "rating": 4.0, "timestamp": 1_700_000_000 + number}
    return json.dumps(fields | changes).encode()


def send(settings: Settings, *values: bytes | None, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    for value in values:
        producer.produce(settings.streaming.topic, value, key=b"k", partition=partition)
    assert producer.flush(30) == 0


def admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})


def delete_topic(settings: Settings) -> None:
    client = admin(settings)
    client.delete_topics([settings.streaming.topic])[settings.streaming.topic].result(10)
    deadline = time.monotonic() + 10
    while settings.streaming.topic in client.list_topics(timeout=5).topics:
        assert time.monotonic() < deadline, "the topic is still there"
        time.sleep(0.05)


def accepted_users(settings: Settings) -> list[str]:
    return sorted(read_table(settings.root, "interactions", ["user_id"])["user_id"].to_pylist())


def rejected(settings: Settings) -> list[tuple[bytes | None, str]]:
    rows = read_table(settings.root, "rejected_events").sort_by(
        [("kafka_partition", "ascending"), ("kafka_offset", "ascending")]
    )
    return list(zip(rows["value"].to_pylist(), rows["reason"].to_pylist(), strict=True))


def assert_everything_is_accounted_for(settings: Settings) -> None:
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []
    assert accounting_differences(settings.root) == []


def test_every_record_becomes_one_row_and_is_read_once(spark: SparkSession, settings: Settings, topic: str) -> None:
    bad = [b"{not json", None, b'{"user_id": 1}', event(3, rating=9), event(4, timestamp="3000-01-01T00:00:00Z")]
    minimal = b'{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}'
    removal = event(2, event_type="remove")
    forget = json.dumps({"user_id": "u1", "event_type": "forget", "timestamp": 1_700_000_009}).encode()
    send(settings, event(1), *bad, minimal, removal, forget)

    report = ingest_available(spark, settings)

    assert (report.batches, report.read, report.accepted, report.duplicate, report.rejected) == (1, 9, 4, 0, 5)
    assert report.position == ledger_position(settings.root, topic)
    assert report.position.next_offsets == {0: 9}
    assert accepted_users(settings) == ["123", "u1", "u1", "u2"]
    stored = read_table(settings.root, "interactions", condition=pc.field("user_id") == "123").to_pylist()[0]
    assert (stored["item_id"], stored["rating"], stored["event_type"]) == ("456", 4.5, "rating")
    assert stored["timestamp"].isoformat() == "2024-01-01T12:00:00+00:00"
    assert stored["event_day"].isoformat() == "2024-01-01"
    assert (stored["topic_id"], stored["kafka_offset"]) == (report.position.topic_id, 6)
    assert [value for value, _ in rejected(settings)] == bad
    reasons = [reason for _, reason in rejected(settings)]
    assert reasons == [
        "malformed_json",
        "empty_record",
        "missing_field",
        "rating_out_of_scale",
        "timestamp_too_far_ahead",
    ]
    assert_everything_is_accounted_for(settings)
    assert not list((settings.root / "checkpoints").glob("*"))

    again = ingest_available(spark, settings)

    assert (again.batches, again.read, again.position) == (0, 0, report.position)
    assert len(accepted_users(settings)) == 4


def test_a_repeated_event_is_a_duplicate_within_a_batch_and_across_batches(
    spark: SparkSession, settings: Settings, topic: str
) -> None:
    once = event(1, event_id="e1")
    send(settings, once, event(2), once)
    first = ingest_available(spark, settings)
    same_id_other_time = event(1, event_id="e1", timestamp=1_700_000_555)
    send(settings, once, event(2), event(3), same_id_other_time, once)
    second = ingest_available(spark, settings)

    assert (first.accepted, first.duplicate) == (2, 1)
    assert (second.accepted, second.duplicate) == (2, 3)
    offsets = read_table(settings.root, "interactions", ["kafka_offset"])["kafka_offset"].to_pylist()
    assert sorted(offsets) == [0, 1, 5, 6]
    assert rejected(settings) == [(value, "duplicate") for value in (once, once, event(2), once)]
    assert_everything_is_accounted_for(settings)


@pytest.mark.parametrize("last", ["files", "rejected_events", "interactions", "ledger"])
def test_a_run_that_ends_after_any_of_its_writes_is_gone_on_with(
    spark: SparkSession, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    def commit_then_crash(root: Path, name: str, *arguments: Any) -> None:
        commit_files(root, name, *arguments)  # type: ignore[arg-type]
        if name == last:
            crash()

    def write_then_crash(*arguments: Any, **options: Any) -> None:
        append_rows(*arguments, **options)
        crash()

    send(settings, event(1), b"bad", event(1))
    with monkeypatch.context() as patch:
        patch.setattr(micro_batch, "commit_files", crash if last == "files" else commit_then_crash)
        patch.setattr(streaming_query, "append_rows", write_then_crash)
        with pytest.raises(StreamingQueryException, match="the disk is gone"):
            ingest_available(spark, settings)
    is_committed = last == "ledger"
    assert accepted_users(settings) == (["u1"] if last in {"interactions", "ledger"} else [])
    assert ledger_position(settings.root, topic).next_offsets == ({0: 3} if is_committed else {})
    (settings.root / "checkpoints" / "left-by-a-killed-run").mkdir(parents=True)
    send(settings, event(2))

    report = ingest_available(spark, settings)

    assert report.read == (1 if is_committed else 4)
    assert accepted_users(settings) == ["u1", "u2"]
    assert rejected(settings) == [(b"bad", "malformed_json"), (event(1), "duplicate")]
    assert_everything_is_accounted_for(settings)
    assert not list((settings.root / "checkpoints").glob("*"))


def test_aborted_transactions_are_not_read_and_ranges_still_join(
    spark: SparkSession, settings: Settings, topic: str
) -> None:
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    for number, commit in ((1, True), (2, False), (3, True), (4, False)):
        producer.begin_transaction()
        producer.produce(topic, event(number), partition=0)
        assert producer.flush(30) == 0, "an abort would drop what was not sent yet"
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    report = ingest_available(spark, settings)

    assert (report.read, report.accepted) == (2, 2)
    assert report.position.next_offsets == {0: 8}, "4 records and 4 transaction markers"
    assert accepted_users(settings) == ["u1", "u3"]
    assert_everything_is_accounted_for(settings)


def test_a_created_anew_topic_is_refused_until_it_is_accepted(
    spark: SparkSession, settings: Settings, topic: str
) -> None:
    send(settings, event(1))
    first = ingest_available(spark, settings)
    delete_topic(settings)
    with pytest.raises(TopicMissingError, match="init-tables"):
        ingest_available(spark, settings)
    assert create_topic(settings)
    send(settings, event(2), event(3), event(1))

    with pytest.raises(TopicReplacedError, match="recommender accept-topic"):
        ingest_available(spark, settings)
    assert accepted_users(settings) == ["u1"]

    assert "partition 0 from offset 0" in accept_topic(settings)
    assert "nothing to accept" in accept_topic(settings)
    second = ingest_available(spark, settings)

    assert (second.accepted, second.duplicate) == (2, 1), "the first topic's event is known"
    assert second.position.topic_id != first.position.topic_id
    assert accepted_users(settings) == ["u1", "u2", "u3"]
    assert_everything_is_accounted_for(settings)


def test_expired_records_are_refused_and_written_down_as_lost_when_accepted(
    spark: SparkSession, settings: Settings, topic: str
) -> None:
    send(settings, event(1))
    ingest_available(spark, settings)
    send(settings, event(2), event(3), event(4))
    client = admin(settings)
    client.delete_records([TopicPartition(topic, 0, 3)])[TopicPartition(topic, 0)].result(10)

    with pytest.raises(DataExpiredError, match="offsets 1 to 2 expired"):
        ingest_available(spark, settings)
    assert "2 records are written down as lost" in accept_topic(settings)
    report = ingest_available(spark, settings)

    assert report.accepted == 1
    assert accepted_users(settings) == ["u1", "u4"]
    ledger = read_table(settings.root, "ingestion_ledger").sort_by("from_offset")
    assert ledger["status"].to_pylist() == ["read", "lost", "read"]
    assert ledger["lost"].to_pylist() == [0, 2, 0]
    assert_everything_is_accounted_for(settings)


def test_an_empty_topic_a_batch_limit_and_an_added_partition(
    spark: SparkSession, settings: Settings, topic: str
) -> None:
    empty = ingest_available(spark, settings)
    assert (empty.batches, empty.read, empty.position.next_offsets) == (0, 0, {})

    send(settings, *(event(number) for number in range(3)))
    client = admin(settings)
    client.create_partitions([NewPartitions(topic, 2)])[topic].result(10)
    send(settings, event(10), event(1), partition=1)
    limited = msgspec.structs.replace(
        settings, streaming=msgspec.structs.replace(settings.streaming, max_records_per_batch=3)
    )
    report = ingest_available(spark, limited)

    assert report.batches == 2
    assert (report.accepted, report.duplicate) == (4, 1)
    assert report.position.next_offsets == {0: 3, 1: 2}
    assert sorted(set(read_table(settings.root, "ingestion_ledger")["batch_id"].to_pylist())) == [0, 1]
    assert_everything_is_accounted_for(settings)


def test_a_second_writer_is_refused(spark: SparkSession, settings: Settings, topic: str) -> None:
    send(settings, event(1))
    with WriterLease(settings.root, "optimize"), pytest.raises(WriterBusyError, match="optimize"):
        ingest_available(spark, settings)
    assert not (settings.root / "tables").exists(), "nothing was touched"
