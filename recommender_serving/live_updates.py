"""Live events on the event loop: what the follower reads and what `POST /events` stores, applied to the live view.

All state in here belongs to the event loop; the follower's thread only posts into it. An event that arrives twice, once
from the delivery report and once from the topic, counts once, because the store knows it by partition and offset.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from recommender_serving.engine.config import RatingScale, StreamingSettings
from recommender_serving.engine.events import Rejection, decode_event
from recommender_serving.engine.factor_model import Position
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.follow_status import FollowState, FollowStatus, Record
from recommender_serving.metrics import Metrics

_UNSETTLED = (FollowState.CONNECTING, FollowState.REPLAYING)


class Follower(Protocol):
    """What this module needs of `TopicFollower`."""

    def start(self) -> None:
        """Start the thread."""

    def stop(self) -> None:
        """End the thread and wait for it."""

    def follow(self, topic_id: str, next_offsets: Mapping[int, int]) -> int:
        """Read the topic from these offsets on; returns the request's number."""


FollowerFactory = Callable[
    [StreamingSettings, Callable[[list[Record]], None], Callable[[FollowStatus], None]], Follower
]


class LiveUpdates:
    """Keeps the live events since the champion's position, fed by the topic.

    Args:
        streaming: Where Kafka is and which topic to follow.
        scale: Rating scale that events are judged by.
        metrics: Where lag and record counts go.
        follower: Makes the reader of the topic.
    """

    def __init__(
        self, streaming: StreamingSettings, scale: RatingScale, metrics: Metrics, follower: FollowerFactory
    ) -> None:
        self._scale = scale
        self._metrics = metrics
        self._follower = follower(streaming, self._deliver, self._receive_report)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stores: list[LiveEvents] = []
        self._start: dict[int, int] = {}
        self._request = 0
        self._settled = asyncio.Event()
        self._stopping = False
        self.status = FollowStatus()

    def start(self) -> None:
        """Start the follower; call on the event loop that owns this object."""
        self._loop = asyncio.get_running_loop()
        self._follower.start()

    async def stop(self) -> None:
        """Stop the follower and wait for its thread."""
        self._stopping = True
        await asyncio.to_thread(self._follower.stop)

    async def replay(self, position: Position) -> LiveEvents:
        """A store with every event of the topic from the position on, for a model trained up to it.

        Events that are held already are not read again. The store is complete when this returns, unless Kafka is away
        or the topic is not the one the model knows; `status` says so, and what can be read later is added then.
        """
        start = {int(partition): offset for partition, offset in position.next_offsets.items()}
        held = self._stores[-1] if self._stores and position.topic_id in ("", self.status.topic_id) else None
        if held is not None and not _reaches_back(start, self._start):
            store = held.trimmed(start)
        else:
            store = LiveEvents(start)
            self._stores.append(store)
            self._settled.clear()
            self._request = self._follower.follow(position.topic_id, start)
            self.status = FollowStatus(request=self._request, topic_id=position.topic_id, next_offsets=start)
            await self._settled.wait()
        self._stores = [store]
        self._start = start
        return store

    def apply(self, records: Sequence[Record]) -> None:
        """Apply records that Kafka has acknowledged to this replica, ahead of reading them."""
        if self.status.state in (FollowState.LIVE, FollowState.REPLAYING):
            self._apply(records)

    def _apply(self, records: Sequence[Record]) -> None:
        for record in records:
            event = decode_event(record.value, record.timestamp_ms, self._scale)
            if isinstance(event, Rejection):
                self._metrics.live_records.labels("rejected").inc()
                continue
            self._metrics.live_records.labels("applied").inc()
            for store in self._stores:
                store.apply(event, record.partition, record.offset)

    def _deliver(self, records: list[Record]) -> None:
        """Hand a batch to the event loop and wait for it; called in the follower's thread."""
        applied = threading.Event()
        self._post(self._apply_delivered, records, applied)
        while not applied.wait(0.1) and not self._stopping:
            pass

    def _apply_delivered(self, records: list[Record], applied: threading.Event) -> None:
        try:
            self._apply(records)
        finally:
            applied.set()

    def _receive_report(self, status: FollowStatus) -> None:
        self._post(self._note, status)

    def _note(self, status: FollowStatus) -> None:
        if status.request != self._request:
            return
        self.status = status
        self._metrics.live_lag.set(status.lag)
        if status.state not in _UNSETTLED:
            self._settled.set()

    def _post(self, callback: Callable[..., None], *arguments: object) -> None:
        if self._loop is not None and not self._stopping:
            self._loop.call_soon_threadsafe(callback, *arguments)


def _reaches_back(start: Mapping[int, int], held: Mapping[int, int]) -> bool:
    """Whether a position lies before what is held in some partition."""
    return any(start.get(partition, 0) < held.get(partition, 0) for partition in {*start, *held})
