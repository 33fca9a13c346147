"""When the topic should be ingested: pure decisions on watermarks, the ledger's position and earlier requests."""

from collections.abc import Mapping

import msgspec

from recommender_assets.automation.backoff import Attempts
from recommender_assets.ingestion.ledger import LedgerPosition
from recommender_assets.ingestion.topic_position import (
    DataExpiredError,
    TopicReplacedError,
    Watermarks,
    verify_position,
)


class IngestionCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor remembers between ticks: the topic it saw, its end offsets, and the requests it made."""

    topic_id: str = ""
    end_offsets: dict[str, int] = {}
    attempts: Attempts = Attempts()


class Ingestion(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a tick: the new cursor, why no run is wanted (None if one is), and how many records wait."""

    cursor: IngestionCursor
    skip: str | None
    pending: int = 0


def read_cursor(cursor: str | None) -> IngestionCursor:
    """Decode the sensor's cursor; a missing or foreign one starts afresh, since the ledger is what counts."""
    try:
        return msgspec.json.decode(cursor or "{}", type=IngestionCursor)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return IngestionCursor()


def decide_ingestion(
    topic_id: str, marks: Mapping[int, Watermarks], position: LedgerPosition, cursor: IngestionCursor, now: float
) -> Ingestion:
    """Decide whether the records after the ledger's position should be ingested now.

    Args:
        topic_id: identity of the topic at the broker.
        marks: watermarks by partition.
        position: up to where the ledger accounts for the topic.
        cursor: what the previous tick left.
        now: seconds since the epoch.
    """
    seen = IngestionCursor(
        topic_id=topic_id,
        end_offsets={str(partition): mark.high for partition, mark in sorted(marks.items())},
        attempts=cursor.attempts,
    )
    try:
        verify_position(position, topic_id, dict(marks))
    except (TopicReplacedError, DataExpiredError) as refusal:
        return Ingestion(cursor=seen, skip=str(refusal))
    pending = sum(mark.high - position.next_offsets.get(partition, mark.low) for partition, mark in marks.items())
    if pending == 0:
        return Ingestion(cursor=seen, skip="nothing after the ledger's position")
    mark = f"{topic_id} {sorted(position.next_offsets.items())}"
    wait = cursor.attempts.wait(mark, now)
    if wait > 0:
        reason = (
            f"{pending} records wait, but {cursor.attempts.count} request(s) at this position brought no progress: "
            f"next one in {wait:.0f} s"
        )
        return Ingestion(cursor=seen, skip=reason, pending=pending)
    requested = msgspec.structs.replace(seen, attempts=cursor.attempts.requested(mark, now))
    return Ingestion(cursor=requested, skip=None, pending=pending)
