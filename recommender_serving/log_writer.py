"""Hands served lists to Kafka without ever waiting for it."""

import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from recommender_serving.engine.config import RecommendationLogSettings, StreamingSettings

_STOP_SECONDS = 5.0


class LogWriter:
    """A Kafka producer of its own, with a bounded queue, so that a full log never holds up an event or a request.

    Args:
        streaming: Where Kafka is.
        log: Topic, and how many records may wait.
        dropped: Called with a number of records that never reached Kafka, from any thread.
    """

    def __init__(
        self, streaming: StreamingSettings, log: RecommendationLogSettings, dropped: Callable[[int], None]
    ) -> None:
        self._topic = log.topic
        self._dropped = dropped
        self._stopping = False
        self._producer = Producer(
            streaming.producer_properties
            | {
                "queue.buffering.max.messages": log.queue_records,
                "linger.ms": 100,
                "compression.type": "lz4",
                "delivery.report.only.error": True,
                "on_delivery": self._report,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )
        self._thread = threading.Thread(target=self._serve_reports, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread that hears of failures."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued, then end the thread; blocks, so call it outside the event loop."""
        if remaining := self._producer.flush(_STOP_SECONDS):
            self._dropped(remaining)
        self._stopping = True
        self._thread.join()

    def write(self, user_id: str, value: bytes) -> None:
        """Queue one record keyed by its user, or drop it if the queue is full."""
        try:
            self._producer.produce(self._topic, key=user_id.encode(), value=value)
        except (BufferError, KafkaException):
            self._dropped(1)

    def _serve_reports(self) -> None:
        while not self._stopping:
            self._producer.poll(0.2)

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._dropped(1)
