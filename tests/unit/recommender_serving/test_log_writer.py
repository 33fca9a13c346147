import time
from typing import Any

import pytest
from confluent_kafka import KafkaError

from recommender_serving.engine.config import RecommendationLogSettings, StreamingSettings
from recommender_serving.log_writer import LogWriter

NOBODY = StreamingSettings(kafka_bootstrap_servers="127.0.0.1:9")


def test_without_a_broker_lists_wait_up_to_the_limit_and_the_rest_is_counted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recommender_serving.log_writer._STOP_SECONDS", 0.2)
    dropped: list[int] = []
    writer = LogWriter(NOBODY, RecommendationLogSettings(queue_records=100), dropped.append)
    started = time.monotonic()
    for number in range(250):
        writer.write(f"user{number}", b"{}")
    assert time.monotonic() - started < 1
    assert sum(dropped) == 150
    writer.stop()
    assert sum(dropped) == 250


def test_a_record_that_is_too_large_is_dropped() -> None:
    dropped: list[int] = []
    writer = LogWriter(NOBODY, RecommendationLogSettings(), dropped.append)
    writer.write("user", bytes(10_000_000))
    assert dropped == [1]
    writer.stop()


def test_reports_are_taken_between_writes_and_free_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for librdkafka, whose queue holds acknowledged records until their reports are taken."""

    class Queue:
        def __init__(self, properties: dict[str, Any]) -> None:
            self.limit = properties["queue.buffering.max.messages"]
            self.report = properties["on_delivery"]
            self.held = 0

        def produce(self, _: str, **__: bytes) -> None:
            if self.held == self.limit:
                raise BufferError
            self.held += 1

        def poll(self, timeout: float) -> None:
            assert timeout == 0
            for number in range(self.held):
                self.report(KafkaError(KafkaError._MSG_TIMED_OUT) if number == 0 else None, None)
            self.held = 0

        def flush(self, _: float) -> int:
            self.poll(0)
            return 0

    monkeypatch.setattr("recommender_serving.log_writer.Producer", Queue)
    for limit, polls in ((10, 20), (1_000, 4)):
        dropped: list[int] = []
        writer = LogWriter(NOBODY, RecommendationLogSettings(queue_records=limit), dropped.append)
        for _ in range(200):
            writer.write("user", b"{}")
        writer.stop()
        assert sum(dropped) == pytest.approx(polls, abs=4), "one of each portion"
