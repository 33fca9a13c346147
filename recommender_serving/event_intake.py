"""Takes events that a client sends: judges them, stores them in Kafka, and applies them to this replica at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import msgspec

from recommender_serving.answers import EventCounts, RejectedEvent
from recommender_serving.champion import Champion
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import Event, Rejection, decode_event, derived_event_id, encode_event
from recommender_serving.errors import EventsNotStoredError, EventsRejectedError, MalformedBodyError
from recommender_serving.event_publisher import Delivery, Outgoing
from recommender_serving.live_updates import LiveUpdates
from recommender_serving.metrics import Metrics

_CHUNK = 64  # events handled between two turns of the event loop
_RETRY_AFTER_SECONDS = "5"

T = TypeVar("T")

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Publisher(Protocol):
    """What this module needs of `EventPublisher`."""

    def start(self) -> None:
        """Start the thread that takes delivery reports."""

    def stop(self) -> None:
        """Wait for what is under way, then end the thread."""

    async def publish(self, events: Sequence[Outgoing]) -> list[Delivery]:
        """Write events and wait for the acknowledgements."""


@dataclass(slots=True)
class _Judged:
    """The events of one body, sorted by what is to become of them."""

    accepted: list[Outgoing] = field(default_factory=list)
    duplicate: int = 0
    rejections: list[RejectedEvent] = field(default_factory=list)


class EventIntake:
    """The way of events from a request's body into Kafka and into the live view.

    Args:
        scale: Rating scale that events are judged by.
        champion: Knows the events that have been seen already.
        live_updates: Takes stored events ahead of reading them.
        publisher: Stores events.
        metrics: Where the counts go.
    """

    def __init__(
        self, scale: RatingScale, champion: Champion, live_updates: LiveUpdates, publisher: Publisher, metrics: Metrics
    ) -> None:
        self._scale = scale
        self._champion = champion
        self._live_updates = live_updates
        self._publisher = publisher
        self._events = metrics.events

    async def take(self, body: bytes) -> EventCounts:
        """Judge, store and apply the events of a body: one JSON object, a list of them, or one per line.

        Raises:
            MalformedBodyError: the body is empty or a list that is not JSON.
            EventsRejectedError: it holds events, and none of them can be taken.
            EventsNotStoredError: Kafka did not acknowledge all of them in time.
        """
        judged = await self._judge(split_body(body))
        counts = EventCounts(
            accepted=len(judged.accepted),
            duplicate=judged.duplicate,
            rejected=len(judged.rejections),
            rejections=judged.rejections,
        )
        self._events.labels("duplicate").inc(counts.duplicate)
        self._events.labels("rejected").inc(counts.rejected)
        if counts.rejected and not counts.accepted and not counts.duplicate:
            first = judged.rejections[0]
            raise EventsRejectedError(
                f"No event was taken; the first reason: {first.detail}", extensions=msgspec.to_builtins(counts)
            )
        await self._store(judged.accepted)
        return counts

    async def forget(self, user_id: str) -> None:
        """Store and apply a `forget` event of now; every event of the user that Kafka holds before it is to go.

        Raises:
            EventsNotStoredError: Kafka did not acknowledge it in time.
        """
        now_us = time.time_ns() // 1_000
        event_id = derived_event_id(user_id, None, "forget", now_us)
        event = Event(user_id, None, "forget", None, now_us, event_id)
        await self._store([Outgoing(user_id, encode_event(event))])

    async def _judge(self, raws: list[bytes]) -> _Judged:
        judged = _Judged()
        now_ms = time.time_ns() // 1_000_000
        in_body: set[tuple[str, int, str]] = set()
        async for index, raw in _in_turns(raws):
            event = decode_event(raw, now_ms, self._scale)
            if isinstance(event, Rejection):
                judged.rejections.append(RejectedEvent(index=index, reason=event.reason, detail=event.detail))
            elif (key := _identity(event)) in in_body or self._champion.holds(event):
                judged.duplicate += 1
            else:
                in_body.add(key)
                judged.accepted.append(Outgoing(event.user_id, raw))
        return judged

    async def _store(self, events: list[Outgoing]) -> None:
        """Raises EventsNotStoredError unless every event was acknowledged; what was is applied in any case."""
        failures = []
        async for _, delivery in _in_turns(await self._publisher.publish(events)):
            if delivery.record is None:
                failures.append(delivery.error)
            else:
                self._live_updates.apply([delivery.record])
        stored = len(events) - len(failures)
        self._events.labels("accepted").inc(stored)
        self._events.labels("failed").inc(len(failures))
        if failures:
            raise EventsNotStoredError(
                f"Kafka has acknowledged {stored} of {len(events)} events: {failures[0]}. Send the same request again: "
                "events that are stored already are recognised by event_id and timestamp.",
                headers={"Retry-After": _RETRY_AFTER_SECONDS},
                extensions={"stored": stored, "not_stored": len(failures)},
            )


def split_body(body: bytes) -> list[bytes]:
    """The raw events of a body: the elements of a JSON list, one JSON document, or else the lines that are not blank.

    Raises:
        MalformedBodyError: the body is empty or a list that is not JSON.
    """
    body = body.strip()
    if not body:
        raise MalformedBodyError("The body is empty; expected one event, a JSON list of events, or one event per line.")
    try:
        if body.startswith(b"["):
            return [bytes(raw) for raw in _decode_raws(body)]
        return [bytes(_decode_raw(body))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if body.startswith(b"["):
            raise MalformedBodyError(f"The body starts like a JSON list but is none: {error}") from error
    return [line for line in body.splitlines() if line.strip()]


def _identity(event: Event) -> tuple[str, int, str]:
    return event.user_id, event.timestamp_us, event.event_id


async def _in_turns(items: Sequence[T]) -> AsyncIterator[tuple[int, T]]:
    """Enumerate items, letting the event loop turn now and then."""
    for index, item in enumerate(items):
        if index % _CHUNK == _CHUNK - 1:
            await asyncio.sleep(0)
        yield index, item
