import queue
import time

import pytest

from recommender_serving.engine.config import StreamingSettings
from recommender_serving.follow_status import FollowState, FollowStatus
from recommender_serving.topic_follower import TopicFollower

NOBODY = StreamingSettings(kafka_bootstrap_servers="127.0.0.1:9", topic="events")


def test_an_absent_broker_is_reported_with_the_request_and_its_position() -> None:
    reports: queue.Queue[FollowStatus] = queue.Queue()
    follower = TopicFollower(NOBODY, lambda _: None, reports.put)
    follower.start()
    number = follower.follow("topic-a", {0: 7})
    report = reports.get(timeout=10)
    assert (report.request, report.state) == (number, FollowState.UNREACHABLE)
    assert (report.topic_id, report.next_offsets) == ("topic-a", {0: 7})
    assert report.detail
    assert follower.follow("topic-a", {0: 3}) == number + 1
    follower.stop()


def test_a_follower_that_was_never_asked_anything_stops_at_once() -> None:
    follower = TopicFollower(NOBODY, lambda _: None, lambda _: None)
    follower.start()
    started = time.monotonic()
    follower.stop()
    assert time.monotonic() - started < 1


def test_an_unexpected_failure_is_reported_and_reading_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: queue.Queue[None] = queue.Queue()

    def fail(*_: object) -> None:
        calls.put(None)
        raise ZeroDivisionError

    reports: queue.Queue[FollowStatus] = queue.Queue()
    monkeypatch.setattr(TopicFollower, "_follow", fail)
    follower = TopicFollower(NOBODY, lambda _: None, reports.put)
    follower.start()
    follower.follow("", {})
    assert reports.get(timeout=5).state == FollowState.UNREACHABLE
    for _ in range(2):
        calls.get(timeout=5)
    follower.stop()
