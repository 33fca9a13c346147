"""The calls that the service offers, as data: what both clients send, and what they expect."""

import datetime as dt
from collections.abc import Iterable
from typing import Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec

from recommender_serving.answers import (
    EventCounts,
    ForgottenUser,
    Health,
    KnownUsers,
    ModelDescription,
    PopularItems,
    RecommendationList,
    SimilarItems,
    UserDescription,
    UserHistory,
    WindowOrAll,
)
from recommender_serving.client.errors import UnexpectedAnswerError, problem_of
from recommender_serving.recommendation_request import RecommendationRequest
from recommender_serving.request_answers import RequestedList, RequestedLists

T = TypeVar("T")


class Interaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a user did.

    Attributes:
        user_id: Who.
        item_id: With which item; none for `forget`.
        rating: For a `rating`.
        event_type: What it was.
        ranking_id: The list that led to it, from its answer.
        timestamp: When, with an offset.
        event_id: Names it, so that sending it again changes nothing.
    """

    user_id: str
    item_id: str | None = None
    rating: float | None = None
    event_type: Literal["rating", "view", "click", "purchase", "remove", "forget"] = "rating"
    ranking_id: str | None = None
    timestamp: dt.datetime = msgspec.field(default_factory=lambda: dt.datetime.now(dt.UTC))
    event_id: str = msgspec.field(default_factory=lambda: uuid4().hex)


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One request and the type of its answer. Every call may be repeated without changing what it does."""

    method: str
    path: str
    answer: type[T]
    parameters: dict[str, str] = {}
    body: bytes | None = None

    def decode(self, response: httpx.Response) -> T:
        """The answer.

        Raises:
            ProblemError: the service refused or failed.
            UnexpectedAnswerError: it is not what this service answers.
        """
        if not response.is_success:
            raise problem_of(response)
        try:
            return msgspec.json.decode(response.content, type=self.answer)
        except msgspec.DecodeError as error:
            raise UnexpectedAnswerError(f"{self.method} {self.path}: {error}") from error


def recommendations(user_id: str, num_recommendations: int, *, exclude_seen: bool) -> Call[RecommendationList]:
    """`GET /recommendations/user/{user_id}`."""
    parameters = {"num_recommendations": str(num_recommendations), "exclude_seen": str(exclude_seen).lower()}
    path = f"/recommendations/user/{_encoded(user_id)}"
    return Call(method="GET", path=path, parameters=parameters, answer=RecommendationList)


def recommend(request: RecommendationRequest) -> Call[RequestedList]:
    """`POST /recommendations` for a user or a session."""
    return Call(method="POST", path="/recommendations", body=msgspec.json.encode(request), answer=RequestedList)


def recommend_to_users(users: Iterable[str], request: RecommendationRequest) -> Call[RequestedLists]:
    """`POST /recommendations` for several users."""
    body = msgspec.json.encode(msgspec.structs.replace(request, users=list(users)))
    return Call(method="POST", path="/recommendations", body=body, answer=RequestedLists)


def similar_items(item_id: str, num_items: int) -> Call[SimilarItems]:
    """`GET /items/{item_id}/similar`."""
    path = f"/items/{_encoded(item_id)}/similar"
    return Call(method="GET", path=path, parameters={"num_items": str(num_items)}, answer=SimilarItems)


def popular_items(num_recommendations: int, window: WindowOrAll) -> Call[PopularItems]:
    """`GET /items/popular`."""
    parameters = {"num_recommendations": str(num_recommendations), "window": window}
    return Call(method="GET", path="/items/popular", parameters=parameters, answer=PopularItems)


def known_users() -> Call[KnownUsers]:
    """`GET /users`."""
    return Call(method="GET", path="/users", answer=KnownUsers)


def user(user_id: str, num_items: int) -> Call[UserDescription]:
    """`GET /users/{user_id}`."""
    path = f"/users/{_encoded(user_id)}"
    return Call(method="GET", path=path, parameters={"num_items": str(num_items)}, answer=UserDescription)


def history(user_id: str, num_items: int) -> Call[UserHistory]:
    """`GET /users/{user_id}/history`."""
    path = f"/users/{_encoded(user_id)}/history"
    return Call(method="GET", path=path, parameters={"num_items": str(num_items)}, answer=UserHistory)


def forget(user_id: str) -> Call[ForgottenUser]:
    """`DELETE /users/{user_id}`."""
    return Call(method="DELETE", path=f"/users/{_encoded(user_id)}", answer=ForgottenUser)


def send(interactions: Iterable[Interaction]) -> Call[EventCounts]:
    """`POST /events`."""
    return Call(method="POST", path="/events", body=msgspec.json.encode(list(interactions)), answer=EventCounts)


def model() -> Call[ModelDescription]:
    """`GET /model`."""
    return Call(method="GET", path="/model", answer=ModelDescription)


def readiness() -> Call[Health]:
    """`GET /health/ready`."""
    return Call(method="GET", path="/health/ready", answer=Health)


def _encoded(identifier: str) -> str:
    return quote(identifier, safe="")
