from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.recommendation_log import (
    InvalidServedListError,
    LogSample,
    ServedList,
    decode_served_list,
    encode_served_list,
)

LIST: dict[str, Any] = {
    "ranking_id": "r1",
    "user_id": "u1",
    "served_at_us": 1_700_000_000_000_000,
    "items": ("a", "b"),
    "algorithm": "svd",
    "version": "svd-1",
    "source": "personalized",
    "logged_share": 0.1,
}


def served(**changes: Any) -> ServedList:
    return ServedList(**{**LIST, **changes})


@pytest.mark.parametrize(
    "one",
    [
        served(),
        served(items=(), source="popular"),
        served(experiment="e", variant="control", logged_share=1.0, forced=True),
        served(
            experiment="e",
            variant="interleaved",
            teams=("control", "treatment"),
            treatment_algorithm="nmf",
            treatment_version="n",
        ),
    ],
)
def test_a_list_comes_back_as_it_was(one: ServedList) -> None:
    assert decode_served_list(encode_served_list(one)) == one


def test_a_list_outside_experiments_says_nothing_of_them() -> None:
    assert set(msgspec.json.decode(encode_served_list(served()))) == set(LIST)


def test_fields_that_nobody_knows_are_ignored() -> None:
    assert decode_served_list(msgspec.json.encode({**LIST, "colour": "red"})) == served()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "a\nb"}, "user_id must hold no control characters"),
        ({"ranking_id": "r" * 65}, "ranking_id"),
        ({"served_at_us": -1}, "served_at_us"),
        ({"served_at_us": "now"}, "served_at_us"),
        ({"served_at_us": 10**19}, "served_at_us"),
        ({"items": ["a", 3]}, r"items\[1\]"),
        ({"items": [""]}, r"items"),
        ({"source": "guessed"}, "source"),
        ({"logged_share": 0}, "logged_share"),
        ({"logged_share": 1.5}, "logged_share"),
        ({"experiment": "e"}, "experiment and variant belong together"),
        ({"variant": "e"}, "experiment and variant belong together"),
        ({"experiment": "e", "variant": "interleaved"}, "teams belong"),
        ({"experiment": "e", "variant": "control", "teams": ["control", "control"]}, "teams belong"),
        ({"experiment": "e", "variant": "interleaved", "teams": ["control"]}, "one arm per item, got 1 for 2 items"),
    ],
)
def test_a_record_that_breaks_a_rule_is_refused_by_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidServedListError, match=message):
        decode_served_list(msgspec.json.encode({**LIST, **changes}))


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"user_id":"\xff"}', b"[" * 10_000])
def test_a_record_that_is_no_list_is_refused(value: bytes | None) -> None:
    with pytest.raises(InvalidServedListError):
        decode_served_list(value)


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_refused_or_decoded(value: bytes) -> None:
    with suppress(InvalidServedListError):
        decode_served_list(value)


def test_the_sample_is_of_users_and_grows_with_the_share() -> None:
    users = [f"user{number}" for number in range(5_000)]
    before: set[str] = set()
    for share in (0.0, 0.1, 0.5, 1.0):
        sample = LogSample(share)
        held = {user for user in users if sample.holds(user)}
        assert len(held) == pytest.approx(share * len(users), abs=150)
        assert before <= held
        before = held
