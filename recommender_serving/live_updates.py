"""Live events on the event loop: what the follower reads and what `POST /events` stores, applied to the live view.

All state in here belongs to the event loop; the follower's thread only posts into it. An event that arrives twice, once
from the delivery report and once from the topic, counts once, because the store knows it by partition and offset.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from recommender_serving.engine.config import RatingScale, StreamingSettings
from recommender_serving.engine.events import Rejection, decode_event
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.follow_status import FollowState, FollowStatus, Record
from recommender_serving.metrics import Metrics

_DISCARDED_PER_TURN = 64  # users
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
        max_events: How many events to hold.
    """

    def __init__(
        self,
        streaming: StreamingSettings,
        scale: RatingScale,
        metrics: Metrics,
        follower: FollowerFactory,
        max_events: int,
    ) -> None:
        self._max_events = max_events
        self._scale = scale
        self._metrics = metrics
        self._follower = follower(streaming, self._deliver, self._receive_report)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store: LiveEvents | None = None
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

    @property
    def n_events(self) -> int:
        """Events that are held."""
        return 0 if self._store is None else self._store.n_events

    @property
    def n_dropped(self) -> int:
        """Events that were let go of for lack of room."""
        return 0 if self._store is None else self._store.n_dropped

    async def replay(self, topic_id: str, start: Mapping[int, int]) -> LiveEvents:
        """The store with every event of a topic from `start` on, partition -> offset.

        Events that are held already are not read again. The store is complete when this returns, unless Kafka is away
        or the topic is not the one that is asked for; `status` says so, and what can be read later is added then.

        Args:
            topic_id: The id that the topic must have, "" = whichever it has.
            start: A partition that is not named is needed whole.
        """
        store = self._store if topic_id in {"", self.status.topic_id} else None
        if store is not None and not _reaches_back(start, store.start):
            return store
        if store is None:
            self._store = store = LiveEvents(start, self._max_events)
        else:
            store.start = {
                partition: min(offset, start[partition])
                for partition, offset in store.start.items()
                if partition in start
            }
        self._settled.clear()
        self._request = self._follower.follow(topic_id, store.start)
        self.status = FollowStatus(request=self._request, topic_id=topic_id, next_offsets=store.start)
        await self._settled.wait()
        return store

    async def discard_before(self, start: Mapping[int, int]) -> None:
        """Let go of events that no model needs any more, a few at a time."""
        if self._store is not None and _reaches_back(self._store.start, start):
            for step, _ in enumerate(self._store.discard_before(start)):
                if step % _DISCARDED_PER_TURN == 0:
                    await asyncio.sleep(0)

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
            if self._store is not None:
                self._store.apply(event, record.partition, record.offset)

    def _deliver(self, records: list[Record]) -> None:
        """Hand a batch to the event loop and wait for it; called in the follower's thread."""
        applied = threading.Event()
        self._post(self._apply_delivered, records, applied)
        while not applied.wait(0.1) and not self._stopping:
            pass

    def _apply_delivered(self, records: list[Record], applied: threading.Event) -> None:
        try:
            self._apply(records)
            if records:
                self._metrics.live_delay.observe(max(time.time() - records[-1].timestamp_ms / 1_000, 0.0))
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
