import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from recommender_serving.engine.config import StreamingSettings
from recommender_serving.follow_status import FollowState, FollowStatus, Record
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


class FakeKafka:
    """A topic as librdkafka shows it; the follower's consumer and admin client are both this."""

    def __init__(self) -> None:
        self.topic_id = "topic-a"
        self.exists = True
        self.reachable = True
        self.low = 0
        self.values: list[bytes | None] = []  # by offset; a missing value is a transaction marker
        self.partitions = 1
        self.position = 0
        self.assigned: list[list[tuple[int, int]]] = []

    def describe_topics(self, _: object, **__: object) -> dict[str, Future[Any]]:
        described: Future[Any] = Future()
        if not self.reachable:
            described.set_exception(KafkaException(KafkaError(KafkaError._TRANSPORT)))
        elif not self.exists:
            described.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        else:
            partitions = [SimpleNamespace(id=number) for number in range(self.partitions)]
            described.set_result(SimpleNamespace(topic_id=self.topic_id, partitions=partitions))
        return {"events": described}

    def get_watermark_offsets(self, _: object, **__: object) -> tuple[int, int]:
        return self.low, len(self.values)

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned.append([(partition.partition, partition.offset) for partition in partitions])
        self.position = partitions[0].offset

    def unassign(self) -> None:
        pass

    def close(self) -> None:
        pass

    def poll(self, _: float) -> Any:
        while self.position < len(self.values) and self.values[self.position] == MARKER:
            self.position += 1
        if self.position < len(self.values):
            self.position += 1
            return self._message(self.position - 1, self.values[self.position - 1])
        time.sleep(0.002)
        return self._message(self.position, error=KafkaError(KafkaError._PARTITION_EOF))

    def consume(self, _: int, __: float) -> list[Any]:
        return []

    @staticmethod
    def _message(offset: int, value: bytes | None = None, error: KafkaError | None = None) -> Any:
        return SimpleNamespace(
            error=lambda: error,
            partition=lambda: 0,
            offset=lambda: offset,
            value=lambda: value,
            timestamp=lambda: (1, 1_700_000_000_000 + offset),
        )


MARKER = b"transaction marker"


@dataclass
class Following:
    """A follower of a fake topic, with what it has delivered and reported."""

    kafka: FakeKafka
    follower: TopicFollower
    records: list[Record]
    reports: "queue.Queue[FollowStatus]"

    def next(self, state: FollowState, request: int = 1) -> FollowStatus:
        """The first report of that state for that request, from now on."""
        deadline = time.monotonic() + 5
        while True:
            report = self.reports.get(timeout=deadline - time.monotonic())
            if (report.state, report.request) == (state, request):
                return report


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Iterator[Following]:
    kafka = FakeKafka()
    module = "recommender_serving.topic_follower"
    monkeypatch.setattr(f"{module}.Consumer", lambda _: kafka)
    monkeypatch.setattr(f"{module}.AdminClient", lambda _: kafka)
    monkeypatch.setattr(f"{module}._RETRY_SECONDS", 0.01)
    monkeypatch.setattr(f"{module}._CHECK_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(f"{module}._REPORT_INTERVAL_SECONDS", 0.01)
    records: list[Record] = []
    reports: queue.Queue[FollowStatus] = queue.Queue()
    follower = TopicFollower(NOBODY, records.extend, reports.put)
    follower.start()
    yield Following(kafka, follower, records, reports)
    follower.stop()


def test_records_are_read_from_the_position_to_the_end_and_beyond(following: Following) -> None:
    following.kafka.values = [b"a", b"b", None, b"d"]
    following.follower.follow("", {0: 1})
    status = following.next(FollowState.LIVE)
    assert following.records == [
        Record(value, 1_700_000_000_000 + offset, 0, offset) for offset, value in [(1, b"b"), (2, None), (3, b"d")]
    ]
    assert (status.next_offsets, status.lag, status.lost) == ({0: 4}, 0, ())
    assert status.topic_id == "topic-a", "the first topic seen is taken where none was named"
    following.kafka.values.append(b"e")
    poll(lambda: [record.value for record in following.records[3:]] == [b"e"])


def test_before_the_end_the_state_is_replaying_with_a_lag(following: Following) -> None:
    following.kafka.values = [b"a"] * 3
    following.follower.follow("topic-a", {0: 0})
    status = following.next(FollowState.REPLAYING)
    assert 0 < status.lag < 3
    assert following.next(FollowState.LIVE).lag == 0


def test_offsets_without_a_record_at_the_end_do_not_keep_it_from_being_reached(following: Following) -> None:
    following.kafka.values = [b"a", MARKER, MARKER]
    following.follower.follow("topic-a", {0: 0})
    assert following.next(FollowState.LIVE).next_offsets == {0: 3}


def test_a_partition_that_is_not_named_is_read_from_its_beginning(following: Following) -> None:
    following.kafka.values = [b"a", b"b"]
    following.kafka.partitions = 2
    following.follower.follow("topic-a", {1: 2})
    poll(lambda: len(following.kafka.assigned) == 1)
    assert sorted(following.kafka.assigned[0]) == [(0, 0), (1, 2)]


def test_expired_records_are_named_and_reading_starts_at_the_first_that_is_left(following: Following) -> None:
    following.kafka.values, following.kafka.low = [b"x"] * 5, 3
    following.follower.follow("topic-a", {0: 1})
    status = following.next(FollowState.LIVE)
    assert status.lost == ("partition 0: offsets 1 to 2 have expired",)
    assert [record.offset for record in following.records] == [3, 4]


def test_a_position_beyond_the_end_is_named_and_reading_starts_at_the_end(following: Following) -> None:
    following.kafka.values = [b"x"] * 2
    following.follower.follow("topic-a", {0: 7})
    status = following.next(FollowState.LIVE)
    assert status.lost == ("partition 0: position 7 lies beyond the topic's end 2",)
    assert (status.next_offsets, following.records) == ({0: 2}, [])


def test_a_missing_topic_is_stated_until_it_is_there(following: Following) -> None:
    following.kafka.exists = False
    following.follower.follow("", {})
    assert following.next(FollowState.TOPIC_MISSING).detail == "topic events does not exist"
    following.kafka.exists = True
    assert following.next(FollowState.LIVE).detail == ""


def test_a_topic_that_is_replaced_while_it_is_read_is_stated(following: Following) -> None:
    following.kafka.values = [b"x"]
    following.follower.follow("topic-a", {0: 0})
    following.next(FollowState.LIVE)
    following.kafka.topic_id = "topic-b"
    detail = following.next(FollowState.TOPIC_REPLACED).detail
    assert "topic-a" in detail
    assert "topic-b" in detail
    following.follower.follow("topic-b", {})
    assert following.next(FollowState.LIVE, request=2).topic_id == "topic-b"


def test_a_broker_that_goes_away_and_comes_back_is_stated(following: Following) -> None:
    following.follower.follow("topic-a", {0: 0})
    following.next(FollowState.LIVE)
    following.kafka.reachable = False
    assert following.next(FollowState.UNREACHABLE).detail
    following.kafka.reachable = True
    assert following.next(FollowState.LIVE).detail == ""


def test_a_partition_that_is_added_is_read_too(following: Following) -> None:
    following.follower.follow("topic-a", {0: 0})
    following.next(FollowState.LIVE)
    following.kafka.partitions = 2
    poll(lambda: len(following.kafka.assigned) == 2)
    assert sorted(following.kafka.assigned[1]) == [(0, 0), (1, 0)]


def test_a_new_request_takes_over_from_the_one_before(following: Following) -> None:
    following.kafka.values = [b"a", b"b"]
    following.follower.follow("topic-a", {0: 2})
    following.next(FollowState.LIVE)
    assert following.records == []
    assert following.follower.follow("topic-a", {0: 1}) == 2
    assert following.next(FollowState.LIVE, request=2).next_offsets == {0: 2}
    assert [record.offset for record in following.records] == [1]


def poll(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.002)
