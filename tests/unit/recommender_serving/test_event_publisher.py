import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from recommender_serving.engine.config import StreamingSettings
from recommender_serving.event_publisher import Delivery, EventPublisher, Outgoing
from recommender_serving.follow_status import Record

NOBODY = StreamingSettings(kafka_bootstrap_servers="127.0.0.1:9", topic="events")


async def test_without_a_broker_every_event_is_given_up_in_time_with_a_reason() -> None:
    publisher = EventPublisher(NOBODY, timeout_seconds=0.5)
    publisher.start()
    started = time.monotonic()
    deliveries = await publisher.publish([Outgoing("u1", b"{}"), Outgoing("u2", b"{}")])
    assert time.monotonic() - started < 3
    assert [delivery.record for delivery in deliveries] == [None, None]
    assert all(delivery.error for delivery in deliveries)
    await asyncio.to_thread(publisher.stop)


async def test_nothing_to_publish_needs_no_broker() -> None:
    publisher = EventPublisher(NOBODY, timeout_seconds=0.5)
    publisher.start()
    assert await publisher.publish([]) == []
    await asyncio.to_thread(publisher.stop)


class FakeProducer:
    """Stands in for librdkafka: notes what is produced and reports as it is told."""

    def __init__(self, properties: dict[str, Any]) -> None:
        self.properties = properties
        self.produced: list[dict[str, Any]] = []
        self.flushed: list[float] = []

    def produce(self, topic: str, **record: Any) -> None:
        if record["value"] == b"full":
            raise BufferError("Local: Queue full")
        if record["value"] == b"huge":
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.produced.append({"topic": topic, **record})

    def poll(self, _: float) -> int:
        time.sleep(0.001)
        return 0

    def flush(self, timeout: float) -> int:
        self.flushed.append(timeout)
        return 0

    def report(self, number: int, error: KafkaError | None = None, offset: int | None = None) -> None:
        message = SimpleNamespace(partition=lambda: 3, offset=lambda: offset, timestamp=lambda: (1, 1_700_000_000_000))
        self.produced[number]["on_delivery"](error, message)


def faked(monkeypatch: pytest.MonkeyPatch, timeout_seconds: float = 1.5) -> tuple[EventPublisher, FakeProducer]:
    monkeypatch.setattr("recommender_serving.event_publisher.Producer", FakeProducer)
    publisher = EventPublisher(NOBODY, timeout_seconds)
    return publisher, publisher._producer  # type: ignore[return-value]


async def test_deliveries_come_in_the_events_order_whatever_order_kafka_reports_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publisher, producer = faked(monkeypatch)
    publishing = asyncio.create_task(publisher.publish([Outgoing("ä/1", b"one"), Outgoing("u2", b"two")]))
    await asyncio.sleep(0)
    assert [(sent["topic"], sent["key"], sent["value"]) for sent in producer.produced] == [
        ("events", "ä/1".encode(), b"one"),
        ("events", b"u2", b"two"),
    ]
    await asyncio.to_thread(producer.report, 1, None, 8)
    await asyncio.to_thread(producer.report, 0, None, 7)
    assert await publishing == [
        Delivery(Record(b"one", 1_700_000_000_000, 3, 7), ""),
        Delivery(Record(b"two", 1_700_000_000_000, 3, 8), ""),
    ]


async def test_an_event_that_fails_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, producer = faked(monkeypatch)
    events = [Outgoing("u", value) for value in (b"full", b"fine", b"late", b"huge", b"lost")]
    publishing = asyncio.create_task(publisher.publish(events))
    await asyncio.sleep(0)
    assert [sent["value"] for sent in producer.produced] == [b"fine", b"late", b"lost"]
    producer.report(0, None, 4)
    producer.report(1, KafkaError(KafkaError._MSG_TIMED_OUT))
    producer.report(2, None, None)  # no offset: not known to be stored
    full, fine, late, huge, lost = await publishing
    assert (full.record, full.error) == (None, "Local: Queue full")
    assert fine.record is not None
    assert fine.record.offset == 4
    assert late.record is None
    assert "timed out" in late.error.lower()
    assert huge.record is None
    assert "MSG_SIZE_TOO_LARGE" in huge.error
    assert lost.record is None


async def test_a_report_after_the_caller_has_gone_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, producer = faked(monkeypatch)
    publishing = asyncio.create_task(publisher.publish([Outgoing("u", b"one")]))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    producer.report(0, None, 1)
    await asyncio.sleep(0.01)
    assert problems == []


@pytest.mark.parametrize(("seconds", "milliseconds"), [(5.0, 5_000), (0.25, 250), (0.0001, 1), (1.0001, 1_001)])
def test_the_timeout_reaches_kafka_and_is_never_the_zero_that_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch, seconds: float, milliseconds: int
) -> None:
    _, producer = faked(monkeypatch, seconds)
    assert producer.properties["message.timeout.ms"] == milliseconds
    assert producer.properties["bootstrap.servers"] == "127.0.0.1:9"
    assert producer.properties["enable.idempotence"] is True
    assert producer.properties["partitioner"] == "murmur2_random"


def test_stopping_waits_for_what_is_under_way_but_not_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, producer = faked(monkeypatch, 1.5)
    publisher.start()
    publisher.stop()
    assert producer.flushed == [1.5]
    assert not publisher._thread.is_alive()
