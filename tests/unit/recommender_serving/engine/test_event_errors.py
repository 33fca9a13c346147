import msgspec
import pytest

from recommender_serving.engine.event_errors import explain, is_too_deep, shown, without_ignored_fields


@pytest.mark.parametrize(
    ("raw", "deep"),
    [
        (b"[" * 64 + b"]" * 64, False),
        (b"[" * 65 + b"]" * 65, True),
        (b'{"a":' * 65, True),
        (b"[]" * 500, False),
        (b'"' + b"[" * 500 + b'"', False),
        (b'"\\"' + b"[" * 500, False),
        (b'["\\\\", ' + b"[" * 64, True),
    ],
)
def test_depth_is_counted_outside_of_text(raw: bytes, deep: bool) -> None:  # noqa: FBT001
    assert is_too_deep(raw) == deep


@pytest.mark.parametrize(
    ("raw", "relevant"),
    [
        (b'{"event_type": "forget", "item_id": [], "rating": 1, "user_id": 1}', {"event_type": "forget", "user_id": 1}),
        (b'{"event_type": "view", "item_id": 1, "rating": "x"}', {"event_type": "view", "item_id": 1}),
        (b'{"event_type": "view", "item_id": 1}', None),
        (b'{"event_type": "rating", "rating": "x"}', None),
        (b'{"rating": "x"}', None),
        (b"[]", None),
        (b"{", None),
        (b'"\xff"', None),
    ],
)
def test_only_what_the_type_ignores_is_left_out(raw: bytes, relevant: dict[str, object] | None) -> None:
    kept = without_ignored_fields(raw)
    assert (kept if kept is None else msgspec.json.decode(kept)) == relevant


def test_values_are_shown_in_part() -> None:
    assert shown("a\n") == "'a\\n'"
    assert shown("x" * 200) == "'" + "x" * 79 + "..."
    assert shown(10**5_000) == "an integer of 16610 bits"


def test_a_number_that_no_value_can_show_is_described() -> None:
    error = msgspec.ValidationError("Number out of range - at `$.timestamp`")
    assert explain(b'{"timestamp": 1e999}', error) == (
        "invalid_timestamp",
        "timestamp: expected RFC 3339 with an offset, or epoch seconds or milliseconds, got a number out of range",
    )
