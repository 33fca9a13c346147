"""Writes events to Kafka and waits until every in-sync replica has them."""

import asyncio
import math
import threading
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from recommender_serving.engine.config import StreamingSettings
from recommender_serving.follow_status import Record

_YIELD_EVERY = 64


class Outgoing(NamedTuple):
    """One event on its way: the user id it is keyed by, and its raw bytes."""

    user_id: str
    value: bytes


class Delivery(NamedTuple):
    """What became of one event: the stored record, or why it is not known to be stored."""

    record: Record | None
    error: str


class EventPublisher:
    """A Kafka producer for the event loop.

    Args:
        streaming: Where Kafka is and which topic to write.
        timeout_seconds: How long an event may wait for its acknowledgement; then it is given up.
    """

    def __init__(self, streaming: StreamingSettings, timeout_seconds: float) -> None:
        self._topic = streaming.topic
        self._timeout_seconds = timeout_seconds
        self._stopping = False
        self._producer = Producer(
            streaming.producer_properties
            | {
                "message.timeout.ms": math.ceil(timeout_seconds * 1000),  # 0 would wait for ever
                "linger.ms": 1,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )
        self._thread = threading.Thread(target=self._serve_reports, name="event-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread that takes delivery reports."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for what is under way, then end the thread; blocks, so call it outside the event loop."""
        self._producer.flush(self._timeout_seconds)
        self._stopping = True
        self._thread.join()

    async def publish(self, events: Sequence[Outgoing]) -> list[Delivery]:
        """Write events keyed by their user and wait for the acknowledgements, at most about the timeout.

        Returns:
            One delivery per event, in order.
        """
        loop = asyncio.get_running_loop()
        reports: list[asyncio.Future[Delivery]] = []
        for index, event in enumerate(events):
            report: asyncio.Future[Delivery] = loop.create_future()
            reports.append(report)
            try:
                self._producer.produce(
                    self._topic,
                    key=event.user_id.encode(),
                    value=event.value,
                    on_delivery=partial(_post_delivery, loop, report, event.value),
                )
            except (BufferError, KafkaException) as error:
                report.set_result(Delivery(None, str(error)))
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                await asyncio.sleep(0)
        return await asyncio.gather(*reports)

    def _serve_reports(self) -> None:
        while not self._stopping:
            self._producer.poll(0.1)


def _post_delivery(
    loop: asyncio.AbstractEventLoop,
    report: "asyncio.Future[Delivery]",
    value: bytes,
    error: KafkaError | None,
    message: Message,
) -> None:
    """Called in the report thread for each event."""
    partition, offset = message.partition(), message.offset()
    if error is None and partition is not None and offset is not None:
        delivery = Delivery(Record(value, message.timestamp()[1], partition, offset), "")
    else:
        delivery = Delivery(None, str(error))
    loop.call_soon_threadsafe(_settle, report, delivery)


def _settle(report: "asyncio.Future[Delivery]", delivery: Delivery) -> None:
    if not report.done():
        report.set_result(delivery)
