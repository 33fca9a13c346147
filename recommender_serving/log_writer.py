"""Hands served lists to Kafka without ever waiting for it."""

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from recommender_serving.engine.config import RecommendationLogSettings, StreamingSettings

_STOP_SECONDS = 5.0
_WRITES_BETWEEN_REPORTS = 64


class LogWriter:
    """A Kafka producer of its own, with a bounded queue, so that a full log never holds up an event or a request.

    Reports of what became of records are taken between writes, in the thread that writes: every report needs the GIL,
    and a thread that asks for it thousands of times a second would slow down the event loop beside it.

    Args:
        streaming: Where Kafka is.
        log: Topic, and how many records may wait.
        dropped: Called with a number of records that never reached Kafka.
    """

    def __init__(
        self, streaming: StreamingSettings, log: RecommendationLogSettings, dropped: Callable[[int], None]
    ) -> None:
        self._topic = log.topic
        self._dropped = dropped
        self._writes = 0
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

    def write(self, user_id: str, value: bytes) -> None:
        """Queue one record keyed by its user, or drop it if the queue is full."""
        key = user_id.encode()
        try:
            self._producer.produce(self._topic, key=key, value=value)
        except BufferError:
            self.take_reports()  # what Kafka has keeps its place in the queue until then
            self._write_or_drop(key, value)
        except KafkaException:
            self._dropped(1)
        self._writes += 1
        if self._writes % _WRITES_BETWEEN_REPORTS == 0:
            self.take_reports()

    def take_reports(self) -> None:
        """Hear what became of records written before."""
        self._producer.poll(0)

    def stop(self) -> None:
        """Send what is queued; blocks, so call it outside the event loop."""
        if remaining := self._producer.flush(_STOP_SECONDS):
            self._dropped(remaining)

    def _write_or_drop(self, key: bytes, value: bytes) -> None:
        try:
            self._producer.produce(self._topic, key=key, value=value)
        except (BufferError, KafkaException):
            self._dropped(1)

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._dropped(1)
