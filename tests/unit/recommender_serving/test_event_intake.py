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
