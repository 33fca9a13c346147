"""Decodes and judges the body of `POST /recommendations`: an error names the field, its value and the rule."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.event_errors import CONTROL_CHARACTER, shown
from recommender_serving.errors import InvalidBodyError, MalformedBodyError
from recommender_serving.recommendation_request import (
    MAX_CATEGORIES,
    MAX_EXCLUDED_ITEMS,
    MAX_SESSION_ITEMS,
    MAX_USERS,
    RECIPIENTS,
    RecommendationRequest,
    SessionItem,
)

_AT_FIELD = re.compile(r"^(?P<problem>.*) - at (?:key in )?\$\.?(?P<path>.*)$", re.DOTALL)
_ID_RULE = "a string of 1-256 characters without control characters, or an integer"
_CATEGORIES_RULE = f"at most {MAX_CATEGORIES} strings of 1-256 characters"
_SHARE_RULE = "a number in 0..1"
_BOOLEAN_RULE = "true or false"
_RULES = {
    "user_id": _ID_RULE,
    "users": f"1 to {MAX_USERS} ids, each {_ID_RULE}",
    "items": f"at most {MAX_SESSION_ITEMS} items, each an id or an object with item_id, rating, event_type",
    "item_id": _ID_RULE,
    "rating": "a number",
    "event_type": "one of rating, view, click, purchase",
    "num_recommendations": "an integer from 1 on",
    "algorithm": "one of svd, nmf",
    "variant": "a text like EXPERIMENT:VARIANT",
    "exclude_seen": _BOOLEAN_RULE,
    "exclude_items": f"at most {MAX_EXCLUDED_ITEMS} ids, each {_ID_RULE}",
    "include_categories": _CATEGORIES_RULE,
    "exclude_categories": _CATEGORIES_RULE,
    "max_per_category": "an integer from 1 on, or an object of category -> integer from 1 on",
    "boosts": "an object with items, categories",
    "boosts.items": f"an object of at most {MAX_EXCLUDED_ITEMS} item ids -> factor in 1e-6..1e6",
    "boosts.categories": f"an object of at most {MAX_CATEGORIES} categories -> factor in 1e-6..1e6",
    "diversity": _SHARE_RULE,
    "popularity_discount": _SHARE_RULE,
    "explain": _BOOLEAN_RULE,
}

_decode = msgspec.json.Decoder(RecommendationRequest).decode


def decode_request(body: bytes, max_recommendations: int, scale: RatingScale) -> RecommendationRequest:
    """Decode and judge a body.

    Raises:
        MalformedBodyError: it is not JSON.
        InvalidBodyError: naming the field, its value and the rule that it breaks.
    """
    try:
        request = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBodyError(_explain(body, error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBodyError(f"The body is no JSON: {error}") from error
    _check(request, max_recommendations, scale)
    return request


def _check(request: RecommendationRequest, max_recommendations: int, scale: RatingScale) -> None:
    """Rules that involve several fields or the settings."""
    given = [name for name in RECIPIENTS if getattr(request, name) is not None]
    if len(given) != 1:
        raise InvalidBodyError(
            f"body: expected exactly one of {', '.join(RECIPIENTS)}, got {' and '.join(given) or 'none'}"
        )
    if request.num_recommendations > max_recommendations:
        _refuse("num_recommendations", f"an integer in 1..{max_recommendations}", request.num_recommendations)
    if request.variant is not None and (request.items is not None or not request.may_join_experiments):
        _refuse("variant", "none with items, algorithm, diversity or popularity_discount", request.variant)
    if request.user_id is not None:
        _check_ids("user_id", [request.user_id], indexed=False)
    _check_ids("users", request.users or ())
    _check_ids("exclude_items", request.exclude_items)
    for place, entry in enumerate(request.items or ()):
        if isinstance(entry, SessionItem):
            _check_session_item(f"items[{place}]", entry, scale)
        else:
            _check_ids(f"items[{place}]", [entry], indexed=False)


def _check_session_item(path: str, entry: SessionItem, scale: RatingScale) -> None:
    _check_ids(f"{path}.item_id", [entry.item_id], indexed=False)
    if entry.rating is None:
        if entry.event_type == "rating":
            _refuse(f"{path}.rating", f"a number in {scale.min}..{scale.max}, as event_type is rating", None)
    elif entry.event_type not in (None, "rating"):
        _refuse(f"{path}.rating", f"none, as event_type is {entry.event_type}", entry.rating)
    elif not scale.min <= entry.rating <= scale.max:
        _refuse(f"{path}.rating", f"a number in {scale.min}..{scale.max}", entry.rating)


def _check_ids(path: str, ids: Iterable[str | int], *, indexed: bool = True) -> None:
    for place, value in enumerate(ids):
        is_text = isinstance(value, str)
        if CONTROL_CHARACTER.search(value) if is_text else not -(10**255) < value < 10**256:  # type: ignore[arg-type, operator]
            _refuse(f"{path}[{place}]" if indexed else path, _ID_RULE, value)


def _refuse(path: str, rule: str, value: object) -> None:
    raise InvalidBodyError(f"{path}: expected {rule}, got {shown(value)}")


def _explain(body: bytes, error: msgspec.ValidationError) -> str:
    """Field, rule and value of a body that the decoder refused."""
    message = str(error).replace("`", "")
    found = _AT_FIELD.match(message)
    path = found["path"] if found else ""
    field = re.sub(r"\[.*?\]", "", path)
    rule = _RULES.get(field.removeprefix("items."))
    if rule is None or "unknown field" in message:
        return f"{path or 'body'}: {found['problem'] if found else message}"
    return f"{path}: expected {rule}{_value_at(body, path)}"


def _value_at(body: bytes, path: str) -> str:
    """What was refused, as text; what holds it, where the message does not tell its key."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    for name, place in re.findall(r"(\w+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(place)]
    return f", got {shown(value)}"
