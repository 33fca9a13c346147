"""Reading a range of a real topic again: nothing is doubled, what is missing comes back, the proofs hold."""

import json

from confluent_kafka import Producer
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.rereading import RequestedRange, reread
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.streaming_query import ingest_available
from recommender_assets.ingestion.tables import read_table, table_path, table_version
from recommender_assets.settings import Settings


def event(number: int) -> bytes:
    fields = {"user_id": f"u{number}", "item_id": number, "rating": 4.0, "timestamp": 1_700_000_000 + number}
    return json.dumps(fields).encode()


def send(settings: Settings, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    for value in values:
        producer.produce(settings.streaming.topic, value, partition=0)
    assert producer.flush(30) == 0


def rows(settings: Settings) -> list[tuple[str, int, str]]:
    """What every offset became: table, offset, and user or reason."""
    accepted = read_table(settings.root, "interactions", ["kafka_offset", "user_id"]).to_pylist()
    rejected = read_table(settings.root, "rejected_events", ["kafka_offset", "reason"]).to_pylist()
    return sorted(
        [("accepted", row["kafka_offset"], row["user_id"]) for row in accepted]
        + [("rejected", row["kafka_offset"], row["reason"]) for row in rejected]
    )


def delete(settings: Settings, name: TableName, condition: str) -> None:
    assert DeltaTable(table_path(settings.root, name)).delete(condition)["num_deleted_rows"]


def assert_proven(settings: Settings) -> None:
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []


def test_reading_again_adds_no_row_and_puts_back_the_missing_ones(
    spark: SparkSession, settings: Settings, topic: str
) -> None:
    send(settings, event(1), b"bad", event(2), event(1), b"worse", event(3))
    ingest_available(spark, settings)
    send(settings, event(4), event(2))
    ingest_available(spark, settings)
    whole, position = rows(settings), ledger_position(settings.root, topic)
    ledger, versions = table_version(settings.root, "ingestion_ledger"), table_version(settings.root, "interactions")

    everything = reread(lambda: spark, settings, RequestedRange({0: 0}))
    assert (everything.read, everything.accepted, everything.duplicate, everything.rejected) == (8, 0, 0, 0)
    assert rows(settings) == whole
    assert table_version(settings.root, "interactions") == versions
    assert_proven(settings)

    delete(settings, "interactions", "kafka_offset IN (0, 6)")
    delete(settings, "rejected_events", "kafka_offset IN (1, 3, 7)")
    assert accounting_errors(settings.root)
    some = reread(lambda: spark, settings, RequestedRange({0: 3}))
    assert (some.read, some.accepted, some.duplicate, some.rejected) == (5, 2, 1, 0)
    assert some.errors, "offsets 0 and 1 are still missing"

    send(settings, event(5))
    rest = reread(lambda: spark, settings, RequestedRange({}, 0))
    assert (rest.read, rest.errors) == (8, [])
    assert sorted(offset for _, offset, _ in rows(settings)) == sorted(offset for _, offset, _ in whole)
    assert_proven(settings)
    assert ledger_position(settings.root, topic) == position, "what is new is left to ingestion"
    assert table_version(settings.root, "ingestion_ledger") == ledger
    written = read_table(settings.root, "rereadings").sort_by("reread_at").to_pylist()
    assert [
        [row[name] for name in ("from_offset", "to_offset", "accepted", "duplicate", "rejected")] for row in written
    ] == [
        [0, 8, 0, 0, 0],
        [3, 8, 2, 1, 0],
        [0, 8, rest.accepted, rest.duplicate, rest.rejected],
    ]
