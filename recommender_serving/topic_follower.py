"""The thread that reads the event topic from given offsets on, with no consumer group and no commits.

Everything it learns goes to two callbacks; it never touches the state of the service. Between two calls into librdkafka
it holds the GIL for the few records of one batch only, so the event loop beside it keeps its latency.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._topic import TopicDescription

from recommender_serving.engine.config import StreamingSettings
from recommender_serving.follow_status import FollowState, FollowStatus, Record

_BATCH_RECORDS = 64
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 3.0
_RETRY_SECONDS = 0.5
_CHECK_INTERVAL_SECONDS = 2.0
_REPORT_INTERVAL_SECONDS = 0.25

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Request:
    """One thing to follow, and how far it has been followed; owned by the thread."""

    number: int
    topic_id: str
    next_offsets: dict[int, int]
    reached: set[int] = field(default_factory=set)
    lost: dict[int, str] = field(default_factory=dict)


class TopicFollower:
    """Reads the topic in a thread and hands records over in order, partition by partition.

    Args:
        streaming: Where Kafka is and which topic to read.
        deliver: Called in the thread with each batch; the thread goes on when it returns.
        report: Called in the thread whenever something changed.
    """

    def __init__(
        self,
        streaming: StreamingSettings,
        deliver: Callable[[list[Record]], None],
        report: Callable[[FollowStatus], None],
    ) -> None:
        self._topic = streaming.topic
        self._client_properties = streaming.client_properties
        self._deliver = deliver
        self._report_callback = report
        self._request = _Request(0, "", {})
        self._changed = threading.Event()
        self._stopping = False
        self._reported_at = 0.0
        self._reported = FollowStatus()
        self._thread = threading.Thread(target=self._run, name="topic-follower", daemon=True)

    def start(self) -> None:
        """Start the thread; it waits for the first `follow`."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; blocks, so call it outside the event loop."""
        self._stopping = True
        self._changed.set()
        self._thread.join()

    def follow(self, topic_id: str, next_offsets: Mapping[int, int]) -> int:
        """Read the topic from `next_offsets` on; partitions not listed are read from their beginning.

        Args:
            topic_id: The id that the topic must have; "" takes the first topic of that name that is seen.
            next_offsets: Partition -> first offset to read.

        Returns:
            The number of this request, as it appears in the reports.
        """
        request = _Request(self._request.number + 1, topic_id, dict(next_offsets))
        self._request = request
        self._changed.set()
        return request.number

    def _run(self) -> None:
        self._changed.wait()
        admin = AdminClient({**self._client_properties, "log_level": 2})
        consumer = self._consumer()
        while not self._stopping:
            self._changed.clear()
            request = self._request
            try:
                self._follow(consumer, admin, request)
            except KafkaException as error:
                self._report(request, FollowState.UNREACHABLE, detail=error.args[0].str())
            except Exception:  # without this thread the lists would silently grow old
                logger.exception("reading topic %s failed", self._topic)
                self._report(request, FollowState.UNREACHABLE, detail="reading failed; the log has the details")
            self._changed.wait(_RETRY_SECONDS)
        consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self._client_properties,
                "group.id": "recommender-serving",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 100,  # the end of a partition is announced after an empty fetch
                "queued.max.messages.kbytes": 16_384,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )

    def _follow(self, consumer: Consumer, admin: AdminClient, request: _Request) -> None:
        topic = _result(self._describe(admin))
        if topic is None:
            self._report(request, FollowState.TOPIC_MISSING, detail=f"topic {self._topic} does not exist")
        elif not _accept(request, topic):
            self._report(request, FollowState.TOPIC_REPLACED, detail=self._replaced(request, topic))
        else:
            self._locate(consumer, request, [partition.id for partition in topic.partitions])
            consumer.assign([TopicPartition(self._topic, *start) for start in request.next_offsets.items()])
            try:
                self._read(consumer, admin, request)
            finally:
                consumer.unassign()

    def _locate(self, consumer: Consumer, request: _Request, partitions: list[int]) -> None:
        """Move the request's offsets into what the topic still holds, noting what is gone."""
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=_REQUEST_SECONDS)
            start = request.next_offsets.setdefault(partition, 0)
            if start < low:
                request.lost[partition] = f"partition {partition}: offsets {start} to {low - 1} have expired"
            elif start > high:
                request.lost[partition] = f"partition {partition}: position {start} lies beyond the topic's end {high}"
            request.next_offsets[partition] = min(max(start, low), high)
            if request.next_offsets[partition] >= high:
                request.reached.add(partition)

    def _read(self, consumer: Consumer, admin: AdminClient, request: _Request) -> None:
        """Read until something else is asked for or the topic turns out to have changed."""
        check: Future[TopicDescription] | None = None
        checked_at = time.monotonic()
        unreachable = ""
        while not self._stopping and self._request is request:
            records = self._poll(consumer, request)
            if records:
                self._deliver(records)
            state = FollowState.UNREACHABLE if unreachable else _progress(request)
            self._report(request, state, lag=self._lag(consumer, request), detail=unreachable)
            if check is None and time.monotonic() - checked_at > _CHECK_INTERVAL_SECONDS:
                check, checked_at = self._describe(admin), time.monotonic()
            elif check is not None and check.done():
                finished, check = check, None
                try:
                    topic = _result(finished)
                except KafkaException as error:
                    unreachable = error.args[0].str()
                    continue
                unreachable = ""
                if topic is None or not _accept(request, topic) or len(topic.partitions) != len(request.next_offsets):
                    return

    def _poll(self, consumer: Consumer, request: _Request) -> list[Record]:
        first = consumer.poll(_POLL_SECONDS)
        if first is None:
            return []
        records = []
        for message in [first, *consumer.consume(_BATCH_RECORDS - 1, 0)]:
            error = message.error()
            if error is None:
                records.append(_record(message))
                request.next_offsets[records[-1].partition] = records[-1].offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                # Transaction markers are offsets without a record: only this event says that the end is reached.
                partition, end = message.partition(), message.offset()
                if partition is not None and end is not None:
                    request.next_offsets[partition] = end
                    request.reached.add(partition)
            else:
                raise KafkaException(error)
        return records

    def _lag(self, consumer: Consumer, request: _Request) -> int:
        lag = 0
        for partition, offset in request.next_offsets.items():
            end = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)[1]
            lag += max(end - offset, 0)  # an end that is not known yet is negative
        return lag

    def _describe(self, admin: AdminClient) -> "Future[TopicDescription]":
        collection = TopicCollection([self._topic])
        futures = admin.describe_topics(collection, request_timeout=_REQUEST_SECONDS)
        described: Future[TopicDescription] = futures[self._topic]
        return described

    def _replaced(self, request: _Request, topic: TopicDescription) -> str:
        return f"topic {self._topic} has id {topic.topic_id}, the model was trained on {request.topic_id}"

    def _report(self, request: _Request, state: FollowState, lag: int = 0, detail: str = "") -> None:
        changed = (self._reported.request, self._reported.state) != (request.number, state)
        if not changed and time.monotonic() - self._reported_at < _REPORT_INTERVAL_SECONDS:
            return
        if changed:
            logger.info("topic %s: %s %s", self._topic, state, detail)
        self._reported_at = time.monotonic()
        self._reported = FollowStatus(
            request=request.number,
            state=state,
            topic_id=request.topic_id,
            next_offsets=dict(request.next_offsets),
            lag=lag,
            lost=tuple(request.lost.values()),
            detail=detail,
        )
        self._report_callback(self._reported)


def _progress(request: _Request) -> FollowState:
    caught_up = len(request.reached) == len(request.next_offsets)
    return FollowState.LIVE if caught_up else FollowState.REPLAYING


def _accept(request: _Request, topic: TopicDescription) -> bool:
    """Whether this is the topic that was asked for; the first one seen is, if none was named."""
    request.topic_id = request.topic_id or str(topic.topic_id)
    return request.topic_id == str(topic.topic_id)


def _result(described: "Future[TopicDescription]") -> TopicDescription | None:
    try:
        return described.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise


def _record(message: Message) -> Record:
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None:
        raise ValueError("librdkafka delivered a record without a partition or an offset")
    value: Any = message.value()
    return Record(value, message.timestamp()[1], partition, offset)
