"""The event of topic `user_interactions`: the one decoder, its inverse, and the identity and order of events.

The service and Spark judge a record by `decode_event` alone, and by the record's own time stamp instead of the
clock, so that every replica and every rerun judges alike.
"""

import datetime as dt
from hashlib import blake2b, sha256
from typing import Annotated, Any, Literal, cast

import msgspec

from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.event_errors import (
    CONTROL_CHARACTER,
    MAX_DEPTH,
    RULES,
    explain,
    is_too_deep,
    shown,
    without_ignored_fields,
)

EventType = Literal["rating", "view", "click", "purchase", "remove", "forget"]
EVENT_TYPES: tuple[str, ...] = ("rating", "view", "click", "purchase", "remove", "forget")
TYPE_CODES: dict[str, int] = {name: code for code, name in enumerate(EVENT_TYPES)}
REASONS: tuple[str, ...] = (
    "empty_record",
    "event_too_large",
    "malformed_json",
    "wrong_type",
    "missing_field",
    "invalid_id",
    "invalid_event_id",
    "invalid_ranking_id",
    "unknown_event_type",
    "rating_missing",
    "rating_out_of_scale",
    "invalid_timestamp",
    "timestamp_without_offset",
    "timestamp_too_far_ahead",
    "duplicate",  # found by whoever has seen the earlier event
)

MAX_EVENT_BYTES = 65_536

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECONDS_FROM = 1e11  # smaller numbers are epoch seconds
_MIN_US = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
_MAX_US = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
_AHEAD_US = 24 * 3_600 * 1_000_000


class _RefusedError(Exception):
    """Carries (reason, detail) from a rule to `decode_event`."""


class EventRecord(msgspec.Struct, frozen=True, gc=False):
    """The JSON document as producers send it; unknown fields are ignored, null means absent."""

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | int
    timestamp: dt.datetime | int | float
    item_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | int | None = None
    rating: float | None = None
    event_type: EventType | None = None
    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    ranking_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why a record is no event: a code of `REASONS`, and a sentence with field, value and rule."""

    reason: str
    detail: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """A valid event.

    Attributes:
        user_id, item_id: 1-256 characters without control characters; `item_id` is None only for `forget`.
        event_type: one of `EVENT_TYPES`.
        rating: inside the rating scale for a `rating`, else None.
        timestamp_us: UTC microseconds since 1970.
        event_id: the producer's, or `derived_event_id`.
        ranking_id: which served list led to the event, if any.
    """

    user_id: str
    item_id: str | None
    event_type: str
    rating: float | None
    timestamp_us: int
    event_id: str
    ranking_id: str | None = None

    @property
    def event_key(self) -> int:
        """63-bit key of the event id, see `event_key`."""
        return event_key(self.event_id)


_decode = msgspec.json.Decoder(EventRecord).decode


def decode_event(raw: bytes | None, record_timestamp_ms: int, scale: RatingScale) -> Event | Rejection:
    """Decode one Kafka record, or say why it is none. Never raises.

    Args:
        raw: the record's value; None is a Kafka tombstone.
        record_timestamp_ms: the record's own time stamp in epoch milliseconds, the limit for events ahead of time.
        scale: lowest and highest rating allowed.
    """
    if not raw:
        return Rejection("empty_record", "record: expected a JSON object, got no value")
    if len(raw) > MAX_EVENT_BYTES:
        return too_large(len(raw), sha256(raw).hexdigest())
    # How deep the parser can go depends on the caller's stack: a limit of our own judges alike everywhere.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and is_too_deep(raw):
        return Rejection("malformed_json", f"record: nested deeper than {MAX_DEPTH} levels")
    try:
        return _event(_decode(raw), record_timestamp_ms, scale)
    except _RefusedError as refused:
        return Rejection(*refused.args)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        relevant = without_ignored_fields(raw)
        return (
            Rejection(*explain(raw, error)) if relevant is None else decode_event(relevant, record_timestamp_ms, scale)
        )


def too_large(size: int, sha256_hex: str) -> Rejection:
    """The rejection of a record of more than `MAX_EVENT_BYTES`, of which tables keep only the first ones."""
    return Rejection(
        "event_too_large", f"record: expected at most {MAX_EVENT_BYTES} bytes, got {size} with SHA-256 {sha256_hex}"
    )


def encode_event(event: Event) -> bytes:
    """The event as JSON that decodes to the same event."""
    record = EventRecord(
        user_id=event.user_id,
        timestamp=_EPOCH + dt.timedelta(microseconds=event.timestamp_us),
        item_id=event.item_id,
        rating=event.rating,
        event_type=cast(EventType, event.event_type),
        event_id=event.event_id,
        ranking_id=event.ranking_id,
    )
    return msgspec.json.encode({field: v for field, v in msgspec.structs.asdict(record).items() if v is not None})


def event_key(event_id: str) -> int:
    """63-bit BLAKE2b of an event id, an int64 that is not negative.

    Two events are ordered by (timestamp_us, event_key): a stand-in for comparing ids that fits one column.
    """
    return int.from_bytes(blake2b(event_id.encode("utf-8"), digest_size=8).digest(), "big") >> 1


def derived_event_id(user_id: str, item_id: str | None, event_type: str, timestamp_us: int) -> str:
    """Event id of a record that has none: equal content gives an equal id (32 hexadecimal digits)."""
    # Ids hold no control characters, so NUL separates the parts unambiguously.
    content = f"{user_id}\0{item_id or ''}\0{event_type}\0{timestamp_us}"
    return blake2b(content.encode("utf-8"), digest_size=16).hexdigest()


def event_schema(scale: RatingScale) -> dict[str, Any]:
    """JSON Schema (2020-12) of the event, made from the struct that decodes it."""
    _, components = msgspec.json.schema_components([EventRecord], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **components["EventRecord"]}
    schema["title"] = "Event"
    properties = schema["properties"]
    properties["rating"]["anyOf"][0] |= {"minimum": scale.min, "maximum": scale.max}
    properties["timestamp"]["anyOf"][0]["format"] = "date-time"
    properties["timestamp"]["description"] = (
        "RFC 3339 with an offset, or epoch seconds (numbers below 1e11) or milliseconds; at most 24 hours after the "
        "time at which the broker receives it"
    )
    is_type = {
        name: {"properties": {"event_type": {"const": name}}, "required": ["event_type"]} for name in EVENT_TYPES
    }
    no_type = {"properties": {"event_type": {"const": None}}}
    schema["allOf"] = [
        {
            "if": {"not": is_type["forget"]},
            "then": {"required": ["item_id"], "properties": {"item_id": {"not": {"type": "null"}}}},
        },
        {
            "if": {"anyOf": [is_type["rating"], no_type]},
            "then": {"required": ["rating"], "properties": {"rating": {"type": "number"}}},
        },
    ]
    return schema


def _event(record: EventRecord, record_timestamp_ms: int, scale: RatingScale) -> Event:
    event_type = record.event_type or "rating"
    user_id = _identifier("user_id", record.user_id)
    item_id = None if event_type == "forget" else _item_id(record, event_type)
    rating = _rating(record, scale) if event_type == "rating" else None
    timestamp_us = _microseconds(record.timestamp)
    if timestamp_us > record_timestamp_ms * 1_000 + _AHEAD_US:
        ahead = f"{_rfc3339(timestamp_us)} is more than 24 hours after the record's own time, {record_timestamp_ms} ms"
        raise _RefusedError("timestamp_too_far_ahead", f"timestamp: {ahead}")
    event_id = record.event_id
    if event_id is None:
        event_id = derived_event_id(user_id, item_id, event_type, timestamp_us)
    else:
        _require_printable("invalid_event_id", "event_id", event_id)
    if record.ranking_id is not None:
        _require_printable("invalid_ranking_id", "ranking_id", record.ranking_id)
    return Event(user_id, item_id, event_type, rating, timestamp_us, event_id, record.ranking_id)


def _identifier(field: str, value: str | int) -> str:
    """The id as text: an integer and its digits are the same id."""
    if isinstance(value, str):
        _require_printable("invalid_id", field, value)
        return value
    if not -(10**255) < value < 10**256:
        raise _RefusedError("invalid_id", f"{field}: expected {RULES[field]}, got {shown(value)}")
    return str(value)


def _item_id(record: EventRecord, event_type: str) -> str:
    if record.item_id is None:
        raise _RefusedError("missing_field", f"item_id: required for a {event_type} event, expected {RULES['item_id']}")
    return _identifier("item_id", record.item_id)


def _rating(record: EventRecord, scale: RatingScale) -> float:
    if record.rating is None:
        raise _RefusedError("rating_missing", f"rating: required for a rating event, expected {scale.min}..{scale.max}")
    if not scale.min <= record.rating <= scale.max:
        raise _RefusedError("rating_out_of_scale", f"rating: expected {scale.min}..{scale.max}, got {record.rating}")
    return record.rating


def _microseconds(timestamp: dt.datetime | int | float) -> int:
    if isinstance(timestamp, dt.datetime):
        if timestamp.tzinfo is None:
            missing = f"{timestamp.isoformat()} has no offset, expected one like Z or +01:00"
            raise _RefusedError("timestamp_without_offset", f"timestamp: {missing}")
        since = timestamp - _EPOCH
        microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    elif abs(timestamp) > _MAX_US:  # before the product, which may overflow
        microseconds = _MAX_US + 1
    else:
        microseconds = round(timestamp * (1_000_000 if abs(timestamp) < _MILLISECONDS_FROM else 1_000))
    if not _MIN_US <= microseconds <= _MAX_US:
        raise _RefusedError("invalid_timestamp", f"timestamp: {shown(timestamp)} is outside the years 1..9999")
    return microseconds


def _require_printable(reason: str, field: str, text: str) -> None:
    if not text.isprintable() and CONTROL_CHARACTER.search(text):
        raise _RefusedError(reason, f"{field}: expected {RULES[field]}, got {shown(text)}")


def _rfc3339(timestamp_us: int) -> str:
    return (_EPOCH + dt.timedelta(microseconds=timestamp_us)).isoformat()
