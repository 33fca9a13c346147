import datetime as dt
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import (
    EVENT_TYPES,
    MAX_EVENT_BYTES,
    REASONS,
    TYPE_CODES,
    Event,
    Rejection,
    decode_event,
    derived_event_id,
    encode_event,
    event_key,
    event_schema,
)

SCALE = RatingScale()
NOON_US = 1_704_110_400_000_000  # 2024-01-01T12:00:00Z
NOON_MS = NOON_US // 1_000
DAY_MS = 24 * 3_600_000
MINIMAL = b'{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "2024-01-01T12:00:00Z"}'


def decode(raw: bytes | None, record_timestamp_ms: int = NOON_MS) -> Event | Rejection:
    return decode_event(raw, record_timestamp_ms, SCALE)


def judged(record_timestamp_ms: int = NOON_MS, **fields: Any) -> Event | Rejection:
    """The minimal event with fields replaced; None leaves a field out."""
    document = json.loads(MINIMAL) | fields
    kept = {key: value for key, value in document.items() if value is not None}
    return decode(json.dumps(kept).encode(), record_timestamp_ms)


def accepted(**fields: Any) -> Event:
    event = judged(**fields)
    assert isinstance(event, Event), event
    return event


def refused(result: Event | Rejection) -> tuple[str, str]:
    assert isinstance(result, Rejection), result
    assert result.reason in REASONS
    return result.reason, result.detail


def test_the_minimal_event_works() -> None:
    event = decode(MINIMAL)
    derived = derived_event_id("123", "456", "rating", NOON_US)
    assert event == Event("123", "456", "rating", 4.5, NOON_US, derived, None)
    assert isinstance(event, Event)
    assert event.event_key == event_key(derived)


def test_everything_given_is_kept() -> None:
    event = accepted(user_id="ü 1", item_id="x|y", event_type="click", event_id="e" * 64, ranking_id="r1", extra=[1])
    assert (event.user_id, event.item_id, event.event_type, event.rating) == ("ü 1", "x|y", "click", None)
    assert (event.event_id, event.ranking_id) == ("e" * 64, "r1")


@pytest.mark.parametrize("field", ["user_id", "item_id"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("7", "7"),
        (-7, "-7"),
        (10**255, "1" + "0" * 255),
        ("x" * 256, "x" * 256),
        ("007", "007"),
        ("👩‍🚀", "👩‍🚀"),
    ],
)
def test_ids_become_text(field: str, value: object, text: str) -> None:
    assert getattr(accepted(**{field: value}), field) == text


@pytest.mark.parametrize("field", ["user_id", "item_id"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "wrong_type"),
        (1.0, "wrong_type"),
        (1e30, "wrong_type"),
        ([1], "wrong_type"),
        ({"id": 1}, "wrong_type"),
        (None, "missing_field"),
        ("", "invalid_id"),
        ("x" * 257, "invalid_id"),
        (10**256, "invalid_id"),
        (-(10**255), "invalid_id"),
        (10**3_000, "invalid_id"),
        ("a\nb", "invalid_id"),
        ("a\0b", "invalid_id"),
        ("a\x7f", "invalid_id"),
        ("a\x85", "invalid_id"),
    ],
)
def test_what_is_no_id_is_refused(field: str, value: object, reason: str) -> None:
    found, detail = refused(judged(**{field: value}))
    assert found == reason
    assert detail.startswith(f"{field}: ")
    assert "1-256 characters without control characters" in detail


@pytest.mark.parametrize("digits", [4_200, 4_400, 60_000])
@pytest.mark.parametrize("field", ["user_id", "timestamp"])
def test_integers_of_any_length_are_refused(field: str, digits: int) -> None:
    raw = MINIMAL.replace(b"123" if field == "user_id" else b'"2024-01-01T12:00:00Z"', b"9" * digits)
    reason, detail = refused(decode(raw))
    assert reason == ("invalid_id" if field == "user_id" else "invalid_timestamp")
    assert detail.startswith(field)
    assert len(detail) < 300


def test_null_is_absent_in_the_raw_record_too() -> None:
    assert refused(decode(MINIMAL.replace(b"123", b"null")))[0] == "missing_field"
    assert refused(decode(MINIMAL.replace(b"4.5", b"null")))[0] == "rating_missing"
    optional = b', "event_id": null, "event_type": null, "ranking_id": null}'
    assert decode(MINIMAL[:-1] + optional) == decode(MINIMAL)


@pytest.mark.parametrize(
    ("timestamp", "timestamp_us"),
    [
        ("2024-01-01T12:00:00Z", NOON_US),
        ("2024-01-01T13:30:00+01:30", NOON_US),
        ("2024-01-01t12:00:00.123456z", NOON_US + 123_456),
        ("2024-01-01T12:00:00.1Z", NOON_US + 100_000),
        (1_704_110_400, NOON_US),
        (1_704_110_400.25, NOON_US + 250_000),
        (1_704_110_400_000, NOON_US),
        (1_704_110_400_000.5, NOON_US + 500),
        (0, 0),
        (-1, -1_000_000),
        (99_999_999_999 - 10**11, -1_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("1995-06-15T00:00:00Z", 803_174_400_000_000),
    ],
)
def test_timestamps_become_utc_microseconds(timestamp: object, timestamp_us: int) -> None:
    assert accepted(timestamp=timestamp).timestamp_us == timestamp_us


def test_numbers_from_1e11_on_are_milliseconds() -> None:
    assert accepted(timestamp=10**11).timestamp_us == 10**14
    later = judged(timestamp=10**11 - 1, record_timestamp_ms=10**14)
    assert isinstance(later, Event)
    assert later.timestamp_us == (10**11 - 1) * 10**6


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (None, "missing_field"),
        (True, "wrong_type"),
        ([], "wrong_type"),
        ("", "invalid_timestamp"),
        ("yesterday", "invalid_timestamp"),
        ("1704110400", "invalid_timestamp"),
        ("2024-01-01", "invalid_timestamp"),
        ("2024-02-30T00:00:00Z", "invalid_timestamp"),
        ("2024-01-01T25:00:00Z", "invalid_timestamp"),
        ("2024-01-01T12:00:00", "timestamp_without_offset"),
        ("0001-01-01T00:00:00+14:00", "invalid_timestamp"),
        (-1e14, "invalid_timestamp"),
        (1e308, "invalid_timestamp"),
        (10**30, "invalid_timestamp"),
        ("3000-01-01T00:00:00Z", "timestamp_too_far_ahead"),
        (32_503_680_000, "timestamp_too_far_ahead"),
    ],
)
def test_what_is_no_timestamp_is_refused(timestamp: object, reason: str) -> None:
    found, detail = refused(judged(timestamp=timestamp))
    assert found == reason
    assert detail.startswith("timestamp: ")


def test_a_timestamp_is_compared_with_the_records_own_time() -> None:
    on_the_limit, beyond = "2024-01-02T12:00:00Z", "2024-01-02T12:00:00.000001Z"
    assert isinstance(judged(timestamp=on_the_limit), Event)
    reason, detail = refused(judged(timestamp=beyond))
    assert reason == "timestamp_too_far_ahead"
    assert "2024-01-02T12:00:00.000001+00:00 is more than 24 hours after" in detail
    assert isinstance(judged(timestamp=beyond, record_timestamp_ms=NOON_MS + 1), Event)
    assert isinstance(
        judged(timestamp="3000-01-01T00:00:00Z", record_timestamp_ms=NOON_MS + 1_000 * 366 * DAY_MS), Event
    )


@pytest.mark.parametrize("rating", [0.5, 5, 5.0, 3.14])
def test_ratings_inside_the_scale_are_numbers(rating: float) -> None:
    event = accepted(rating=rating)
    assert event.rating == rating
    assert type(event.rating) is float


@pytest.mark.parametrize(
    ("rating", "reason"),
    [
        (None, "rating_missing"),
        (0.49, "rating_out_of_scale"),
        (5.01, "rating_out_of_scale"),
        (-1, "rating_out_of_scale"),
        (10**30, "rating_out_of_scale"),
        ("4", "wrong_type"),
        (True, "wrong_type"),
        ([4], "wrong_type"),
    ],
)
def test_what_is_no_rating_is_refused(rating: object, reason: str) -> None:
    found, detail = refused(judged(rating=rating))
    assert found == reason
    assert detail.startswith("rating: ")


def test_the_scale_is_configurable() -> None:
    raw = MINIMAL.replace(b"4.5", b"87")
    assert isinstance(decode_event(raw, NOON_MS, RatingScale(min=0, max=100)), Event)
    assert refused(decode(raw)) == ("rating_out_of_scale", "rating: expected 0.5..5.0, got 87.0")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_json_number_is_malformed(number: bytes) -> None:
    assert refused(decode(MINIMAL.replace(b"4.5", number)))[0] == "malformed_json"


def test_a_number_beyond_floats_is_out_of_scale() -> None:
    reason, detail = refused(decode(MINIMAL.replace(b"4.5", b"1e999")))
    assert (reason, detail) == ("rating_out_of_scale", "rating: expected a number, got a number out of range")


@pytest.mark.parametrize("event_type", ["view", "click", "purchase", "remove"])
@pytest.mark.parametrize("rating", [None, 3, 99, "x", [1]])
def test_other_types_ignore_the_rating(event_type: str, rating: object) -> None:
    assert accepted(event_type=event_type, rating=rating).rating is None


@pytest.mark.parametrize("item_id", [None, "i", "", 1.5, ["x"], "x" * 300])
def test_forget_needs_only_the_user(item_id: object) -> None:
    event = accepted(event_type="forget", item_id=item_id, rating=None)
    assert (event.user_id, event.item_id, event.rating) == ("123", None, None)


@pytest.mark.parametrize("event_type", ["rating", "view", "click", "purchase", "remove"])
def test_all_others_need_an_item(event_type: str) -> None:
    reason, detail = refused(judged(event_type=event_type, item_id=None))
    assert (reason, detail[:8]) == ("missing_field", "item_id:")


@pytest.mark.parametrize(
    ("event_type", "reason"), [("like", "unknown_event_type"), ("", "unknown_event_type"), (1, "wrong_type")]
)
def test_unknown_types_are_refused(event_type: object, reason: str) -> None:
    found, detail = refused(judged(event_type=event_type))
    assert found == reason
    assert detail == (f"event_type: expected one of rating, view, click, purchase, remove, forget, got {event_type!r}")


@pytest.mark.parametrize(("field", "limit"), [("event_id", 64), ("ranking_id", 256)])
def test_optional_ids_have_rules(field: str, limit: int) -> None:
    assert getattr(accepted(**{field: "e" * limit}), field) == "e" * limit
    for value in ("", "e" * (limit + 1), "a\tb"):
        reason, detail = refused(judged(**{field: value}))
        assert reason == f"invalid_{field}"
        assert detail.startswith(f"{field}: expected a string of 1-{limit} characters")
    assert refused(judged(**{field: 5}))[0] == "wrong_type"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "empty_record"),
        (b"", "empty_record"),
        (b" \n\t", "empty_record"),
        (b"{", "malformed_json"),
        (b"not json", "malformed_json"),
        (b"\x00", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b"\xef\xbb\xbf" + MINIMAL, "malformed_json"),
        (MINIMAL + b" x", "malformed_json"),
        (MINIMAL + MINIMAL, "malformed_json"),
        (MINIMAL[:-1], "malformed_json"),
        (MINIMAL.replace(b"123", b'"\xff"'), "malformed_json"),
        (MINIMAL.replace(b"123", b'"\\ud800"'), "malformed_json"),
        (MINIMAL.replace(b"123", b"0123"), "malformed_json"),
        (b"[]", "wrong_type"),
        (b"[" + MINIMAL + b"]", "wrong_type"),
        (b"5", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b"null", "wrong_type"),
        (b"{}", "missing_field"),
    ],
)
def test_what_is_no_json_object_is_refused(raw: bytes | None, reason: str) -> None:
    assert refused(decode(raw))[0] == reason


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"b":'])
@pytest.mark.parametrize("prefix", [b"", MINIMAL[:-1] + b', "extra": '])
def test_deep_nesting_is_refused(opening: bytes, prefix: bytes) -> None:
    reason, detail = refused(decode(prefix + opening * 10_000))
    assert (reason, detail) == ("malformed_json", "record: nested deeper than 64 levels")


def test_a_record_beyond_the_limit_is_refused_with_its_length_and_digest() -> None:
    largest = MINIMAL[:-1] + b', "pad": "' + b"x" * (MAX_EVENT_BYTES - len(MINIMAL) - 11) + b'"}'
    assert len(largest) == MAX_EVENT_BYTES == 65_536
    assert decode(largest) == decode(MINIMAL)
    raw = largest + b" "
    reason, detail = refused(decode(raw))
    assert reason == "event_too_large"
    assert detail == f"record: expected at most 65536 bytes, got 65537 with SHA-256 {sha256(raw).hexdigest()}"


def test_nesting_up_to_the_limit_is_judged_alike_at_any_stack_depth() -> None:
    inner = b"[" * 63 + b"]" * 63
    raw = MINIMAL[:-1] + b', "extra": ' + inner + b"}"

    def deep(frames: int) -> Event | Rejection:
        return deep(frames - 1) if frames else decode(raw)

    assert deep(0) == deep(500) == decode(MINIMAL)
    assert refused(decode(raw.replace(inner, b"[" + inner + b"]")))[0] == "malformed_json"


def test_many_brackets_side_by_side_or_in_text_are_no_depth() -> None:
    extra = b', "list": [' + b"[]," * 100 + b'[]], "text": "' + b'[{\\"' * 100 + b'"}'
    assert decode(MINIMAL[:-1] + extra) == decode(MINIMAL)


def test_a_long_unclosed_text_is_judged_in_linear_time() -> None:
    assert refused(decode(b"[" * 65 + b'"' + b'\\"' * 32_000))[0] == "malformed_json"
    assert refused(decode(b'"' + b'\\"[' * 21_000))[0] in {"malformed_json", "wrong_type"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["user_id", "item_id", "rating", "timestamp", "event_type", "event_id", "ranking_id", "x"])


@given(st.binary() | st.dictionaries(fields, json_values).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_judged_without_an_error(raw: bytes) -> None:
    result = decode(raw)
    assert isinstance(result, Event) or result.reason in REASONS


@given(st.dictionaries(fields, json_values))
def test_any_replaced_field_is_judged_without_an_error(replaced: dict[str, Any]) -> None:
    result = judged(**replaced)
    assert isinstance(result, Event) or result.reason in REASONS


printable = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=64)
moments = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(2024, 1, 2), timezones=st.just(dt.UTC))  # noqa: DTZ001


@given(printable, printable, st.sampled_from(EVENT_TYPES), st.floats(0.5, 5), moments, printable, st.none() | printable)
def test_an_encoded_event_decodes_to_itself(  # noqa: PLR0917 (drawn by hypothesis)
    user_id: str,
    item_id: str,
    event_type: str,
    rating: float,
    moment: dt.datetime,
    event_id: str,
    ranking_id: str | None,
) -> None:
    event = Event(
        user_id,
        None if event_type == "forget" else item_id,
        event_type,
        rating if event_type == "rating" else None,
        (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1),
        event_id,
        ranking_id,
    )
    assert decode(encode_event(event)) == event


def test_type_codes_are_positions() -> None:
    assert [TYPE_CODES[name] for name in EVENT_TYPES] == list(range(6))
    assert EVENT_TYPES == ("rating", "view", "click", "purchase", "remove", "forget")


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_keys_fit_an_int64_and_are_not_negative(event_id: str) -> None:
    assert 0 <= event_key(event_id) < 2**63


def test_keys_never_change() -> None:
    # Stored in tables and model files: another value would break the order of stored events.
    assert event_key("e1") == 985_917_958_979_553_154
    assert derived_event_id("1", "2", "rating", 3) == "e327548dc4f5d4aabf240844ab1550f7"


def test_derived_ids_tell_all_parts_apart() -> None:
    contents = [("1", "23", "view", 4), ("12", "3", "view", 4), ("1", "23", "click", 4), ("1", "23", "view", 5)]
    assert len({derived_event_id(*content) for content in contents}) == 4
    assert derived_event_id("1", None, "forget", 4) == derived_event_id("1", None, "forget", 4)


def test_the_schema_says_what_the_decoder_does() -> None:
    schema = event_schema(RatingScale(min=1, max=10))
    assert json.loads(json.dumps(schema)) == schema
    assert schema["required"] == ["user_id", "timestamp"]
    assert schema["properties"]["rating"]["anyOf"][0] == {"type": "number", "minimum": 1.0, "maximum": 10.0}
    assert set(schema["properties"]["event_type"]["anyOf"][0]["enum"]) == set(EVENT_TYPES)
    assert schema["properties"]["user_id"]["anyOf"] == [
        {"type": "string", "minLength": 1, "maxLength": 256},
        {"type": "integer"},
    ]
    assert schema["allOf"][0]["then"]["required"] == ["item_id"]
    assert schema["allOf"][1]["then"]["required"] == ["rating"]
