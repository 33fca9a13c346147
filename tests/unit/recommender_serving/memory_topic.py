"""A topic of one partition in memory, with the two ends that the service needs; the real ones meet a real broker."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from recommender_serving.engine.config import RecommendationLogSettings, StreamingSettings
from recommender_serving.engine.recommendation_log import ServedList, decode_served_list
from recommender_serving.event_publisher import Delivery, Outgoing
from recommender_serving.follow_status import FollowState, FollowStatus, Record


class MemoryTopic:
    """Records by offset; can be missing, unreachable or replaced. Hand `follower` and `publisher` to `create_app`."""

    def __init__(self) -> None:
        self.topic_id = "topic-a"
        self.first_offset = 0
        self.records: list[Record] = []
        self.available = threading.Event()
        self.available.set()
        self.readable = threading.Event()  # cleared: what is produced is not read, as if reading lagged
        self.readable.set()
        self.lag = 0  # what the follower reports
        self.room: int | None = None  # how many events of one body are acknowledged, None = all
        self.followed: list[tuple[str, dict[int, int]]] = []

    def append(self, value: bytes | None) -> Record:
        record = Record(value, time.time_ns() // 1_000_000, 0, self.first_offset + len(self.records))
        self.records.append(record)
        return record

    def follower(
        self,
        _: StreamingSettings,
        deliver: Callable[[list[Record]], None],
        report: Callable[[FollowStatus], None],
    ) -> "MemoryFollower":
        return MemoryFollower(self, deliver, report)

    def publisher(self, _: StreamingSettings, __: float) -> "MemoryPublisher":
        return MemoryPublisher(self)


class MemoryLog:
    """The topic of served lists: keeps what is written, drops it while `is_full`."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes]] = []
        self.is_full = False

    def writer(
        self, _: StreamingSettings, __: RecommendationLogSettings, dropped: Callable[[int], None]
    ) -> "MemoryLogWriter":
        return MemoryLogWriter(self, dropped)

    @property
    def lists(self) -> list[ServedList]:
        """What was written, decoded."""
        return [decode_served_list(value) for _, value in self.records]


class MemoryLogWriter:
    """Writes to the log at once."""

    def __init__(self, log: MemoryLog, dropped: Callable[[int], None]) -> None:
        self._log = log
        self._dropped = dropped

    def stop(self) -> None:
        pass

    def take_reports(self) -> None:
        pass

    def write(self, user_id: str, value: bytes) -> None:
        if self._log.is_full:
            self._dropped(1)
        else:
            self._log.records.append((user_id, value))


class MemoryFollower:
    """Reads the topic in a thread, like the real one."""

    def __init__(
        self, topic: MemoryTopic, deliver: Callable[[list[Record]], None], report: Callable[[FollowStatus], None]
    ) -> None:
        self._topic = topic
        self._deliver = deliver
        self._report = report
        self._request: tuple[int, str, int] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def follow(self, topic_id: str, next_offsets: Mapping[int, int]) -> int:
        self._topic.followed.append((topic_id, dict(next_offsets)))
        number = len(self._topic.followed)
        self._request = (number, topic_id, next_offsets.get(0, 0))
        return number

    def _run(self) -> None:
        while not self._stopping.wait(0.002):
            request = self._request
            if request is None:
                continue
            number, topic_id, offset = request
            state, lost = FollowState.LIVE, ()
            if not self._topic.available.is_set():
                state = FollowState.UNREACHABLE
            elif topic_id not in {"", self._topic.topic_id}:
                state = FollowState.TOPIC_REPLACED
            else:
                start = max(offset, self._topic.first_offset)
                lost = (f"partition 0: offsets {offset} to {start - 1} have expired",) if start > offset else ()
                if self._topic.readable.is_set():
                    records = self._topic.records[start - self._topic.first_offset :]
                    self._deliver(records)
                else:
                    state = FollowState.REPLAYING
            end = self._topic.first_offset + len(self._topic.records)
            self._report(FollowStatus(number, state, topic_id, {0: end}, self._topic.lag, lost, str(state)))


class MemoryPublisher:
    """Appends to the topic; an unavailable topic acknowledges nothing."""

    def __init__(self, topic: MemoryTopic) -> None:
        self._topic = topic

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    async def publish(self, events: Sequence[Outgoing]) -> list[Delivery]:
        if not self._topic.available.is_set():
            return [Delivery(None, "no broker answers") for _ in events]
        room = len(events) if self._topic.room is None else self._topic.room
        stored = [Delivery(self._topic.append(event.value), "") for event in events[:room]]
        return stored + [Delivery(None, "the queue is full") for _ in events[room:]]
