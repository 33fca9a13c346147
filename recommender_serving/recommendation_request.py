"""The body of `POST /recommendations`: for whom a list is asked, and the rules it must keep."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.event_errors import CONTROL_CHARACTER, shown
from recommender_serving.engine.experiment_definition import VARIANT_PATTERN
from recommender_serving.engine.item_rules import Rules
from recommender_serving.errors import InvalidBodyError, MalformedBodyError

MAX_USERS = 100
MAX_SESSION_ITEMS = 1_000
MAX_EXCLUDED_ITEMS = 1_000
MAX_CATEGORIES = 100

_LONGEST_ID = 256
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

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_ID)] | int
Category = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_ID)]
Categories = Annotated[list[Category], msgspec.Meta(max_length=MAX_CATEGORIES)]
Cap = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Factor = Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Implicit = Literal["rating", "view", "click", "purchase"]


class SessionItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item of a session; an id alone is a click, an item with a rating is a rating.

    Attributes:
        item_id: The item.
        rating: Stars; required if `event_type` is `rating`, not allowed otherwise.
        event_type: What happened.
    """

    item_id: Identifier
    rating: float | None = None
    event_type: Implicit | None = None


class Boosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Factors of scores: above 1 lifts, below 1 lowers; those of an item and of all its categories are multiplied.

    Attributes:
        items: Item id -> factor; unknown items are ignored.
        categories: Category -> factor.
    """

    items: Annotated[dict[str, Factor], msgspec.Meta(max_length=MAX_EXCLUDED_ITEMS)] = {}
    categories: Annotated[dict[str, Factor], msgspec.Meta(max_length=MAX_CATEGORIES)] = {}


class RecommendationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom (exactly one of `user_id`, `users`, `items`), and the rules that the list keeps.

    Attributes:
        user_id: One user; the id need not fit a path.
        users: Several users, answered by one list each, in this order.
        items: A session without a user: what was interacted with, oldest first. Nothing of it is stored.
        num_recommendations: Length of a list; it is shorter only if fewer items may be listed.
        algorithm: Asks for the model of this algorithm; without it the champion answers, or a running experiment.
        variant: Tries out this variant of a running experiment; the lists are marked as forced.
        exclude_seen: Leave out what the user has interacted with.
        exclude_items: Leave these out; unknown items are ignored.
        include_categories: Only items that are in at least one of these.
        exclude_categories: No item that is in any of these.
        max_per_category: At most so many items of every category, or of the categories named. An item counts in each of
            its categories; the list is filled from the best item down, leaving out those without room.
        boosts: Factors of scores.
        diversity: 0 orders by score alone; towards 1 an item is worth less the more it resembles one listed before it
            (maximal marginal relevance, cosine in the factor space).
        popularity_discount: Towards 1, items that only few users interact with come up.
        explain: Give, for each item, what the items of the user's past contribute to its score.
    """

    user_id: Identifier | None = None
    users: Annotated[list[Identifier], msgspec.Meta(min_length=1, max_length=MAX_USERS)] | None = None
    items: Annotated[list[Identifier | SessionItem], msgspec.Meta(max_length=MAX_SESSION_ITEMS)] | None = None
    num_recommendations: Annotated[int, msgspec.Meta(ge=1)] = 10
    algorithm: Literal["svd", "nmf"] | None = None
    variant: Annotated[str, msgspec.Meta(pattern=VARIANT_PATTERN)] | None = None
    exclude_seen: bool = True
    exclude_items: Annotated[list[Identifier], msgspec.Meta(max_length=MAX_EXCLUDED_ITEMS)] = []
    include_categories: Categories = []
    exclude_categories: Categories = []
    max_per_category: Cap | dict[str, Cap] | None = None
    boosts: Boosts = msgspec.field(default_factory=Boosts)
    diversity: Share = 0.0
    popularity_discount: Share = 0.0
    explain: bool = False

    @property
    def may_join_experiments(self) -> bool:
        """Whether it leaves to an experiment what an experiment decides: the model, and how it ranks."""
        return self.algorithm is None and not self.diversity and not self.popularity_discount

    def rules(self) -> Rules:
        """The rules for the search."""
        return Rules(
            excluded_items=frozenset(map(str, self.exclude_items)),
            include_categories=frozenset(self.include_categories),
            exclude_categories=frozenset(self.exclude_categories),
            max_per_category=self.max_per_category,
            item_boosts=self.boosts.items,
            category_boosts=self.boosts.categories,
            popularity_discount=self.popularity_discount,
            diversity=self.diversity,
        )


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
    given = [name for name in ("user_id", "users", "items") if getattr(request, name) is not None]
    if len(given) != 1:
        raise InvalidBodyError(
            f"body: expected exactly one of user_id, users, items, got {' and '.join(given) or 'none'}"
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
