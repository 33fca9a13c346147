import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.errors import MalformedBodyError
from recommender_serving.event_intake import split_body


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b' {"a": 1} ', [b'{"a": 1}']),
        (b'{\n "a": [1,\n 2]\n}', [b'{\n "a": [1,\n 2]\n}']),
        (b'[{"a":1}, 2 ,"x"]', [b'{"a":1}', b"2", b'"x"']),
        (b"[]", []),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n\r\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\nnonsense', [b'{"a":1}', b"nonsense"]),
        (b"nonsense", [b"nonsense"]),
    ],
)
def test_bodies_are_taken_apart(body: bytes, events: list[bytes]) -> None:
    assert split_body(body) == events


@given(st.binary(max_size=60))
def test_no_body_does_anything_but_split_or_be_malformed(body: bytes) -> None:
    try:
        events = split_body(body)
    except MalformedBodyError:
        return
    assert all(event.strip() for event in events)
    assert sum(map(len, events)) <= len(body)


def test_a_deeply_nested_list_is_malformed() -> None:
    with pytest.raises(MalformedBodyError):
        split_body(b"[" * 100_000)


raw_events = st.builds(lambda number: msgspec.json.encode({"user_id": number}), st.integers())


@given(st.lists(raw_events, min_size=1, max_size=8), st.lists(st.sampled_from([b"\n", b"\r\n", b"\n \n"]), min_size=9))
def test_lines_and_lists_hold_the_same_events(events: list[bytes], separators: list[bytes]) -> None:
    lines = separators[0] + b"".join(event + end for event, end in zip(events, separators[1:], strict=False))
    assert split_body(lines) == split_body(b"[" + b" , ".join(events) + b"]") == events


def test_separators_of_other_alphabets_do_not_end_a_line() -> None:
    line = '{"user_id": "a\u2028b\u0085c"}'.encode()
    assert split_body(line + b"\n" + line) == [line, line]


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\r\n", b"\t"])
def test_an_empty_body_is_told_what_was_expected(body: bytes) -> None:
    with pytest.raises(MalformedBodyError, match="empty; expected one event") as refused:
        split_body(body)
    assert (refused.value.status_code, refused.value.code) == (400, "malformed_body")
