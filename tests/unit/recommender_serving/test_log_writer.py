import time

import pytest

from recommender_serving.engine.config import RecommendationLogSettings, StreamingSettings
from recommender_serving.log_writer import LogWriter

NOBODY = StreamingSettings(kafka_bootstrap_servers="127.0.0.1:9")


def test_without_a_broker_lists_wait_up_to_the_limit_and_the_rest_is_counted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recommender_serving.log_writer._STOP_SECONDS", 0.2)
    dropped: list[int] = []
    writer = LogWriter(NOBODY, RecommendationLogSettings(queue_records=100), dropped.append)
    writer.start()
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
    writer.start()
    writer.write("user", bytes(10_000_000))
    assert dropped == [1]
    writer.stop()
