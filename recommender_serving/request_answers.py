"""Bodies of the answers to `POST /recommendations`."""

import msgspec

from recommender_serving.answers import ExperimentReference, ModelReference, Source


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one item of the user's past adds."""

    item_id: str
    title: str
    contribution: float


class ScoreExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Terms that add up to `score`.

    Attributes:
        base: What is there without any item of the past; of a popular list, the number of users.
        items: The items of the past that contribute most, greatest absolute contribution first.
        other_items: Sum over all other items of the past.
        rules: What boosts and popularity discount add.
    """

    base: float
    items: list[Contribution]
    other_items: float
    rules: float


class RatingExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """Terms that add up to `predicted_rating`.

    Attributes:
        average: The mean of all ratings.
        item: How much better or worse than that the item is rated.
        user: How much better or worse the user rates.
        base: What is there without any item of the past.
        items: The items of the past that contribute most, greatest absolute contribution first.
        other_items: Sum over all other items of the past.
        clipped: What keeps the sum inside the scale of ratings, usually 0.
    """

    average: float
    item: float
    user: float
    base: float
    items: list[Contribution]
    other_items: float
    clipped: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why an item is listed where it is, and with these stars."""

    score: ScoreExplanation
    predicted_rating: RatingExplanation


class RequestedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a list: `score` orders it unless `diversity` does, `predicted_rating` is in stars."""

    item_id: str
    title: str
    score: float
    predicted_rating: float
    explanation: Explanation | msgspec.UnsetType = msgspec.UNSET


class RequestedList(msgspec.Struct, frozen=True, kw_only=True):
    """A list as `GET /recommendations/user/{user_id}` answers it; a session has no `user_id`."""

    user_id: str | msgspec.UnsetType = msgspec.UNSET
    recommendations: list[RequestedItem]
    model: ModelReference
    source: Source
    unknown_items: list[str]
    as_of: str
    experiment: ExperimentReference | None = None
    ranking_id: str


class RequestedLists(msgspec.Struct, frozen=True, kw_only=True):
    """One list per user, in the order of `users`."""

    lists: list[RequestedList]
