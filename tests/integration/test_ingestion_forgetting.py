"""`recommender forget` on a real topic: the rows go, and neither reading again nor an import brings them back."""

import datetime as dt
import json
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.constraints import declare_constraints
from recommender_assets.ingestion.forget_request import forget_user
from recommender_assets.ingestion.history import import_history
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from recommender_assets.ingestion.rereading import RequestedRange, reread
from recommender_assets.ingestion.streaming_query import ingest_available
from recommender_assets.ingestion.tables import create_tables, read_table, table_version
from recommender_assets.settings import HistorySettings, Settings

YEAR = (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2021, 1, 1, tzinfo=dt.UTC))


def event(user: str, number: int, **changes: object) -> bytes:
    fields = {"user_id": user, "item_id": number, "rating": 4.0, "timestamp": 1_700_000_000 + number}
    return json.dumps(fields | changes).encode()


def send(settings: Settings, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    for value in values:
        producer.produce(settings.streaming.topic, value, partition=0)
    assert producer.flush(30) == 0


def users(settings: Settings) -> list[str]:
    rows = read_table(settings.root, "interactions", ["user_id", "event_type"]).to_pylist()
    past = read_table(settings.root, "interaction_history", ["user_id"]).to_pylist()
    return sorted(row["user_id"] for row in [*rows, *past] if row.get("event_type") != "forget")


def raw(settings: Settings) -> str:
    values = read_table(settings.root, "rejected_events", ["value"])["value"].to_pylist()
    return str(values) + str(read_table(settings.root, "rejected_history", ["source_row"])["source_row"].to_pylist())


def assert_proven(settings: Settings) -> None:
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []
    assert accounting_differences(settings.root) == []


@pytest.fixture
def with_history(settings: Settings, tmp_path: Path) -> Settings:
    path = tmp_path / "ratings.csv"
    rows = ["ann,1,4,2020-05-06T00:00:00Z", "bob,2,5,2020-05-06T00:00:00Z", "ann,3,99,2020-05-06T00:00:00Z", "ann,4,5"]
    path.write_text("\n".join(["user_id,item_id,rating,timestamp", *rows]), encoding="utf-8")
    return msgspec.structs.replace(settings, history=HistorySettings(source="csv", path=str(path)))


def test_a_forgotten_user_does_not_come_back(spark: SparkSession, with_history: Settings, topic: str) -> None:
    settings = with_history
    create_tables(settings.root)
    declare_constraints(settings.root)  # Spark and delta-rs write tables that have them
    import_history(spark, settings, *YEAR)
    send(settings, event("ann", 1), event("bob", 1), event("ann", 1), event("ann", 2, rating=99), b'{"user_id": "ann"')
    ingest_available(spark, settings)
    assert users(settings) == ["ann", "ann", "bob", "bob"]

    steps: list[str] = []
    erasure = forget_user(lambda: spark, settings, "ann", steps.append)
    assert (erasure.interactions, erasure.rejected_events) == (1, 3)
    assert (erasure.history, erasure.rejected_history) == (1, 2)
    assert "offset 5" in steps[0]
    assert users(settings) == ["bob", "bob"]
    assert "ann" not in raw(settings)
    assert read_table(settings.root, "user_profiles", ["user_id"])["user_id"].to_pylist() == ["bob"]
    assert_proven(settings)

    version = table_version(settings.root, "interactions")
    everything = reread(lambda: spark, settings, RequestedRange({0: 0}))
    assert (everything.read, everything.accepted, everything.duplicate, everything.rejected) == (6, 0, 0, 0)
    assert everything.errors == []
    assert table_version(settings.root, "interactions") == version

    again = import_history(spark, settings, *YEAR)
    assert (again.imported, again.rejected) == (1, 0)
    assert users(settings) == ["bob", "bob"]
    assert "ann" not in raw(settings)

    send(settings, event("ann", 3))
    ingest_available(spark, settings)
    assert users(settings) == ["ann", "bob", "bob"], "what comes later counts"
    assert_proven(settings)


def test_an_id_that_is_none_is_refused_before_anything_is_sent(spark: SparkSession, settings: Settings) -> None:
    with pytest.raises(ValueError, match="user_id"):
        forget_user(lambda: spark, settings, "line\nfeed", print)
