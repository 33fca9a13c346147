"""`recommender stream` and the `interactions` asset take turns on one topic: nothing is lost, nothing counts twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from pyspark.sql import SparkSession

from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.maintenance import maintain
from recommender_assets.ingestion.stream import stream
from recommender_assets.ingestion.streaming_query import ingest_available, ingest_or_report
from recommender_assets.ingestion.tables import table_version
from recommender_assets.ingestion.topic_position import TopicReplacedError
from recommender_assets.ingestion.writer_lease import WriterBusyError, lease_holder
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings
from tests.integration.test_ingestion_streaming import accepted_users, delete_topic, event, rejected, send
from tests.waiting import wait_until


@pytest.fixture
def often(settings: Settings) -> Settings:
    """A micro-batch as soon as there is something to read."""
    streaming = msgspec.structs.replace(settings.streaming, batch_interval="100 milliseconds")
    return msgspec.structs.replace(settings, streaming=streaming)


@contextmanager
def streaming(spark: SparkSession, settings: Settings) -> Iterator[list[str]]:
    """`stream` in a thread, stopped gracefully at the end; yields the lines it tells."""
    stop, lines, errors = threading.Event(), list[str](), list[RuntimeError]()

    def run() -> None:
        try:
            stream(spark, settings, stop, lines.append)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lines
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
        if errors:
            raise errors[0]


def read_up_to(settings: Settings) -> int:
    if table_version(settings.root, "ingestion_ledger") is None:
        return 0  # the stream has just begun
    return sum(ledger_position(settings.root, settings.streaming.topic).next_offsets.values())


def wait_for_position(settings: Settings, position: int) -> None:
    wait_until(
        lambda: read_up_to(settings) == position, 60, lambda: f"read up to {position}, is at {read_up_to(settings)}"
    )


def test_stream_and_asset_hand_over_without_loss_or_double(spark: SparkSession, often: Settings, topic: str) -> None:
    send(often, event(1), b"bad")
    first = ingest_available(spark, often)
    send(often, event(2), event(1))
    with streaming(spark, often) as lines:
        wait_for_position(often, 4)
        send(often, event(3), event(2))
        wait_for_position(often, 6)
        meanwhile = ingest_or_report(lambda: pytest.fail("Spark was asked for"), often)
        with pytest.raises(WriterBusyError, match="stream"):
            ingest_available(spark, often)
        wait_until(lambda: len(lines) >= 2, 60, "two lines of progress")
    send(often, event(4), event(3))
    last = ingest_or_report(lambda: spark, often)

    assert (first.read, meanwhile.read, last.read) == (2, 0, 2)
    assert (meanwhile.writer, meanwhile.position.next_offsets) == ("stream", {0: 6})
    assert "1 accepted, 1 duplicate, 0 rejected; lag 0" in lines[0]
    assert accepted_users(often) == ["u1", "u2", "u3", "u4"]
    assert rejected(often) == [(b"bad", "malformed_json"), *((event(n), "duplicate") for n in (1, 2, 3))]
    assert contiguity_gaps(often.root) == []
    assert accounting_errors(often.root) == []
    assert not list((often.root / "checkpoints").glob("*"))


def test_maintenance_takes_its_turn_while_the_stream_runs(spark: SparkSession, often: Settings, topic: str) -> None:
    with streaming(spark, often) as lines:
        for number in (1, 2):
            send(often, event(number), event(number), b"bad")
            wait_for_position(often, number * 3)
        send(often, event(1, event_type="forget"))
        wait_for_position(often, 7)
        done = maintain(often)
        send(often, event(2), event(3))
        wait_for_position(often, 9)
    assert [line for line in lines if " lag " not in line] == [
        "gave way to another process that writes the tables",
        "goes on",
    ]
    assert (done.erasure.users, done.erasure.interactions, done.erasure.rejected_events) == (1, 1, 1)
    assert done.tables["interactions"].merged >= 2
    assert accepted_users(often) == ["u1", "u2", "u3"], "of u1 only the forget is left"
    bad, again = (b"bad", "malformed_json"), (event(2), "duplicate")
    assert rejected(often) == [bad, again, bad, again]
    assert contiguity_gaps(often.root) == []
    assert accounting_errors(often.root) == []
    assert accounting_differences(often.root) == []


def test_a_topic_that_is_created_anew_ends_the_stream(spark: SparkSession, often: Settings, topic: str) -> None:
    def replace_the_topic() -> None:
        with streaming(spark, often):
            send(often, event(1))
            wait_for_position(often, 1)
            delete_topic(often)
            create_topic(often)
            send(often, event(2), event(3))
            wait_until(lambda: lease_holder(often.root) is None, 60, "the lease is given up")

    with pytest.raises(TopicReplacedError, match="accept-topic"):
        replace_the_topic()
    assert accepted_users(often) == ["u1"]
