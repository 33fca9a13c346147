"""The slow path of the event decoder: which rule a refused record breaks."""

import re
from typing import Any

import msgspec

MAX_DEPTH = 64
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
RULES = {
    "user_id": "a string of 1-256 characters without control characters, or an integer",
    "item_id": "a string of 1-256 characters without control characters, or an integer",
    "rating": "a number",
    "timestamp": "RFC 3339 with an offset, or epoch seconds or milliseconds",
    "event_type": "one of rating, view, click, purchase, remove, forget",
    "event_id": "a string of 1-64 characters without control characters",
    "ranking_id": "a string of 1-256 characters without control characters",
}

_AT_FIELD = re.compile(r"^(?P<problem>.*) - at `\$\.(?P<field>\w+)`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_TOKEN = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)
_REASON_OF_FIELD = {
    "user_id": "invalid_id",
    "item_id": "invalid_id",
    "rating": "rating_out_of_scale",
    "timestamp": "invalid_timestamp",
    "event_type": "unknown_event_type",
    "event_id": "invalid_event_id",
    "ranking_id": "invalid_ranking_id",
}


def explain(raw: bytes, error: Exception) -> tuple[str, str]:
    """Reason code and detail (field, value, rule) of a record that the strict decoder refused with `error`."""
    if not raw.strip():
        return "empty_record", "record: expected a JSON object, got only white space"
    if not isinstance(error, msgspec.ValidationError):
        return "malformed_json", f"record: expected JSON in UTF-8, got {error}"
    message = str(error)
    if missing := _MISSING.match(message):
        return "missing_field", f"{missing['field']}: required, expected {RULES[missing['field']]}"
    found = _AT_FIELD.match(message)
    if found is None:
        return "wrong_type", f"record: expected a JSON object with the fields of an event ({message.replace('`', '')})"
    return _explain_field(raw, found["field"], found["problem"])


def _explain_field(raw: bytes, field: str, problem: str) -> tuple[str, str]:
    if problem.endswith("got `null`"):
        return "missing_field", f"{field}: required, expected {RULES[field]}, got null"
    reason = "wrong_type" if ", got `" in problem else _REASON_OF_FIELD[field]
    return reason, f"{field}: expected {RULES[field]}, got {_value_of(raw, field)}"


def without_ignored_fields(raw: bytes) -> bytes | None:
    """The record without what its event type ignores (`item_id` of a forget, `rating` of all but ratings).

    None if nothing is ignored: then the record is judged as it stands.
    """
    document = _plain(raw)
    if not isinstance(document, dict):
        return None
    event_type = document.get("event_type")
    ignored = {"rating"} if event_type not in (None, "rating") else set()
    ignored |= {"item_id"} if event_type == "forget" else set()
    if not ignored & document.keys():
        return None
    return msgspec.json.encode({key: value for key, value in document.items() if key not in ignored})


def is_too_deep(raw: bytes) -> bool:
    """Whether arrays and objects are nested deeper than `MAX_DEPTH`."""
    depth = 0
    for token in _TOKEN.finditer(raw):
        symbol = token[0]
        depth += (symbol in b"[{") - (symbol in b"]}")
        if depth > MAX_DEPTH:
            return True
    return False


def shown(value: object) -> str:
    """A value for a message, at most 80 characters of it."""
    if isinstance(value, int) and value.bit_length() > 1_000:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _value_of(raw: bytes, field: str) -> str:
    document = _plain(raw)
    return shown(document[field]) if isinstance(document, dict) and field in document else "a number out of range"


def _plain(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
