"""Bodies of the service's answers."""

from typing import Literal

import msgspec

Source = Literal["personalized", "folded_in", "popular"]


class ModelReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answered."""

    algorithm: str
    version: str


class ExperimentReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The experiment that a list belongs to and what the user saw; `forced` ones are left out of its analysis."""

    name: str
    variant: str
    forced: bool = False


class Recommendation(msgspec.Struct, frozen=True):
    """One entry of a list: `score` orders it, `predicted_rating` is in stars."""

    item_id: str
    title: str
    score: float
    predicted_rating: float


class RecommendationList(msgspec.Struct, frozen=True, kw_only=True):
    """A served list, best first.

    Attributes:
        source: `personalized` (as trained), `folded_in` (with events since) or `popular` (nothing known of the user).
        experiment: The experiment that the user takes part in.
        unknown_items: Items of the user's events that the model does not know yet; they do not count so far.
        as_of: Time of the newest event that counts, or of the model.
        ranking_id: Names this very answer; send it along with events that it led to. Last, as it is filled in last.
    """

    user_id: str
    recommendations: list[Recommendation]
    model: ModelReference
    source: Source
    unknown_items: list[str]
    as_of: str
    experiment: ExperimentReference | None = None
    ranking_id: str = ""


WindowName = Literal["1_hour", "24_hours", "7_days", "30_days"]
WindowOrAll = Literal["all", WindowName]


class PopularItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item and how many users or interactions it had."""

    item_id: str
    title: str
    count: int


class PopularItems(msgspec.Struct, frozen=True, kw_only=True):
    """The items with most users or interactions, most popular first.

    Attributes:
        window: What counts, by event time.
        counted: Distinct `users` of the model's whole past, or `interactions` inside a window, live ones included.
        as_of: End of the window, or time of the model.
    """

    items: list[PopularItem]
    window: WindowOrAll
    counted: Literal["users", "interactions"]
    as_of: str
    model: ModelReference


class SimilarItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item and its cosine with the one asked about, in -1..1."""

    item_id: str
    title: str
    similarity: float


class SimilarItems(msgspec.Struct, frozen=True, kw_only=True):
    """The items most like `item_id`, most similar first; those that nothing is known of are left out."""

    item_id: str
    title: str
    items: list[SimilarItem]
    model: ModelReference


class PastItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a user's past; `rating` is null where the user has not rated it, `title` is empty if unknown."""

    item_id: str
    title: str
    rating: float | None


class UserHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Items that count for a user's lists, the latest first."""

    user_id: str
    items: list[PastItem]


class KnownUsers(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of some users that the model knows."""

    users: list[str]


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of a user's events.

    Attributes:
        interactions: Events that stand: the latest of each item and kind that no later `remove` took back.
        ratings: Ratings among them.
        mean_rating: Null without any.
        first_interaction: Time (RFC 3339) of the earliest of them, null without any.
        last_interaction: Of the latest.
        windows: Sliding window by event time that ends now -> events inside it.
        category_affinity: Category -> share of what the user likes; the shares sum to 1.
    """

    interactions: int
    ratings: int
    mean_rating: float | None
    first_interaction: str | None
    last_interaction: str | None
    windows: dict[WindowName, int]
    category_affinity: dict[str, float]


class VectorOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """How the vector that orders a user's lists came to be.

    Attributes:
        source: `personalized` (as trained), `folded_in` (solved from past and live events), or `popular` (no vector).
        trained_events: Events of the user inside the model.
        live_events: Events since, `remove` and `forget` included; 0 of a user who is as trained.
        items: Items that the vector is solved from.
        unknown_items: Items that it leaves out, for the model does not know them.
        as_of: Time of the newest event that counts, or of the model.
    """

    source: Literal["personalized", "folded_in", "popular"]
    trained_events: int
    live_events: int
    items: int
    unknown_items: list[str]
    as_of: str
    model: ModelReference


class UserDescription(msgspec.Struct, frozen=True, kw_only=True):
    """All that the service knows of a user; `history` has the latest items."""

    user_id: str
    activity: Activity
    vector: VectorOrigin
    history: list[PastItem]


class RejectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was not taken: its place in the body (from 0), a stable reason, and field, value and rule."""

    index: int
    reason: str
    detail: str


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of one body; the three counts add up to their number."""

    accepted: int
    duplicate: int
    rejected: int
    rejections: list[RejectedEvent]


class ForgottenUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user who is to be forgotten: `accepted` by Kafka; `detail` says what is done by then and what follows."""

    user_id: str
    status: Literal["accepted"] = "accepted"
    detail: str = "This replica's lists know nothing of the user any more; the tables and the next model follow."


class LivePosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far the live events reach: partition -> next offset, and records in the topic that are not read yet."""

    state: str
    topic_id: str
    next_offsets: dict[str, int]
    lag_records: int


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The champion; `deployed` has the versions of all models in service, by algorithm."""

    algorithm: str
    version: str
    predecessor: str | None
    promoted_at: str
    deployed: dict[str, str]
    created_at: str
    n_users: int
    n_items: int
    hyper_parameters: dict[str, object]
    metrics: dict[str, float]
    trained_up_to: dict[str, object]
    live: LivePosition


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why the service is not at its best: a stable code and an explanation."""

    code: str
    detail: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`live`, `ready`, or `degraded`: it answers, but for the stated reasons not from all that it should know."""

    status: Literal["live", "ready", "degraded"]
    reasons: list[Reason] = []
