"""The body of `POST /recommendations`: for whom a list is asked, and the rules it must keep."""

from typing import Annotated, Literal

import msgspec

from recommender_serving.engine.experiment_definition import VARIANT_PATTERN
from recommender_serving.engine.item_rules import Rules

RECIPIENTS = ("user_id", "users", "items")  # a request has exactly one of them
MAX_USERS = 100
MAX_SESSION_ITEMS = 1_000
MAX_EXCLUDED_ITEMS = 1_000
MAX_CATEGORIES = 100

_LONGEST_ID = 256

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
