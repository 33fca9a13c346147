from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.item_rules import Rules
from recommender_serving.errors import InvalidBodyError, MalformedBodyError
from recommender_serving.recommendation_request import (
    MAX_EXCLUDED_ITEMS,
    MAX_SESSION_ITEMS,
    MAX_USERS,
    RecommendationRequest,
)
from recommender_serving.request_decoding import decode_request

SCALE = RatingScale()


def decoded(**fields: Any) -> RecommendationRequest:
    return decode_request(msgspec.json.encode(fields), 20, SCALE)


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidBodyError) as refused:
        decode_request(body, 20, SCALE)
    return str(refused.value.detail)


def test_defaults() -> None:
    request = decoded(user_id="u")
    assert request.num_recommendations == 10
    assert request.exclude_seen
    assert request.rules() == Rules()


def test_all_rules_reach_the_search() -> None:
    request = decoded(
        items=["a"],
        exclude_items=["x", 5],
        include_categories=["A"],
        exclude_categories=["B"],
        max_per_category={"A": 2},
        boosts={"items": {"y": 2.0}, "categories": {"A": 0.5}},
        diversity=0.25,
        popularity_discount=1,
    )
    assert request.rules() == Rules(
        excluded_items=frozenset({"x", "5"}),
        include_categories=frozenset({"A"}),
        exclude_categories=frozenset({"B"}),
        max_per_category={"A": 2},
        item_boosts={"y": 2.0},
        category_boosts={"A": 0.5},
        popularity_discount=1.0,
        diversity=0.25,
    )


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (b'{"user_id":""}', "user_id", "''"),
        (b'{"user_id":"\\u0000"}', "user_id", "'\\x00'"),
        (b'{"user_id":1.5}', "user_id", "1.5"),
        (b'{"user_id":' + b"9" * 300 + b"}", "user_id", "999"),
        (b'{"users":[]}', "users", "[]"),
        (b'{"users":["a",{}]}', "users[1]", "{}"),
        (b'{"users":["a","\\u0007"]}', "users[1]", "'\\x07'"),
        (b'{"users":"a"}', "users", "'a'"),
        (b'{"items":[3,{"item_id":"a","rating":7}]}', "items[1].rating", "7.0"),
        (b'{"items":[{"item_id":"a","rating":"x"}]}', "items[0].rating", "'x'"),
        (b'{"items":[{"item_id":"a","rating":3,"event_type":"view"}]}', "items[0].rating", "3.0"),
        (b'{"items":[{"item_id":"a","event_type":"rating"}]}', "items[0].rating", "None"),
        (b'{"items":[{"item_id":"a","event_type":"remove"}]}', "items[0].event_type", "'remove'"),
        (b'{"items":[{"item_id":"\\u0001"}]}', "items[0].item_id", "'\\x01'"),
        (b'{"items":["\\u0001"]}', "items[0]", "'\\x01'"),
        (b'{"user_id":"a","num_recommendations":21}', "num_recommendations", "21"),
        (b'{"user_id":"a","num_recommendations":0}', "num_recommendations", "0"),
        (b'{"user_id":"a","num_recommendations":"5"}', "num_recommendations", "'5'"),
        (b'{"user_id":"a","algorithm":"knn"}', "algorithm", "'knn'"),
        (b'{"user_id":"a","exclude_seen":"yes"}', "exclude_seen", "'yes'"),
        (b'{"user_id":"a","exclude_items":["b",""]}', "exclude_items[1]", "''"),
        (b'{"user_id":"a","exclude_items":["b","\\u0001"]}', "exclude_items[1]", "'\\x01'"),
        (b'{"user_id":"a","include_categories":[""]}', "include_categories[0]", "''"),
        (b'{"user_id":"a","exclude_categories":"x"}', "exclude_categories", "'x'"),
        (b'{"user_id":"a","max_per_category":0}', "max_per_category", "0"),
        (b'{"user_id":"a","max_per_category":{"A":0}}', "max_per_category[...]", "{'A': 0}"),
        (b'{"user_id":"a","boosts":{"items":{"x":0}}}', "boosts.items[...]", "{'x': 0}"),
        (b'{"user_id":"a","boosts":{"categories":{"x":-1}}}', "boosts.categories[...]", "{'x': -1}"),
        (b'{"user_id":"a","boosts":[]}', "boosts", "[]"),
        (b'{"user_id":"a","diversity":1.5}', "diversity", "1.5"),
        (b'{"user_id":"a","popularity_discount":-1}', "popularity_discount", "-1"),
        (b'{"user_id":"a","explain":1}', "explain", "1"),
    ],
)
def test_a_refusal_names_field_rule_and_value(body: bytes, field: str, value: str) -> None:
    detail = refusal(body)
    assert detail.startswith(f"{field}: expected ")
    assert f", got {value}" in detail


@pytest.mark.parametrize(
    "body", [b"{}", b'{"user_id":null}', b'{"user_id":"a","users":["b"]}', b'{"users":["b"],"items":[]}']
)
def test_exactly_one_kind_of_asker_is_expected(body: bytes) -> None:
    assert refusal(body).startswith("body: expected exactly one of user_id, users, items")


@pytest.mark.parametrize("body", [b"[]", b"3", b'{"user_id":"a","limit":5}', b'{"items":[{"item_id":1,"stars":5}]}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    assert refusal(body)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"user_id":"\xff"}', b'{"user_id":"a"} x'])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        decode_request(body, 20, SCALE)


@pytest.mark.parametrize(
    ("field", "limit"), [("users", MAX_USERS), ("items", MAX_SESSION_ITEMS), ("exclude_items", MAX_EXCLUDED_ITEMS)]
)
def test_lists_have_a_longest_length(field: str, limit: int) -> None:
    asker = {} if field in {"users", "items"} else {"user_id": "u"}
    decoded(**asker, **{field: list(range(limit))})
    detail = refusal(msgspec.json.encode({**asker, field: list(range(limit + 1))}))
    assert detail.startswith(f"{field}: expected")
    assert str(limit) in detail


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(RecommendationRequest.__struct_fields__) | st.text(max_size=3), values))
def test_any_document_is_taken_or_refused_with_a_reason(fields: dict[str, Any]) -> None:
    with suppress(InvalidBodyError):
        assert decoded(**fields).rules() is not None


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    with suppress(InvalidBodyError, MalformedBodyError):
        decode_request(body, 20, SCALE)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises((InvalidBodyError, MalformedBodyError)):
        decode_request(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 20, SCALE)
