"""The plain client."""

import time
from collections.abc import Iterable
from typing import Self, TypeVar

import httpx

from recommender_serving.answers import (
    EventCounts,
    ForgottenUser,
    Health,
    ModelDescription,
    PopularItems,
    RecommendationList,
    SimilarItems,
    UserDescription,
    UserHistory,
    WindowOrAll,
)
from recommender_serving.client import calls
from recommender_serving.client.calls import Call, Interaction
from recommender_serving.client.connection import options, request_of
from recommender_serving.client.errors import UnreachableError
from recommender_serving.client.retries import Retries
from recommender_serving.recommendation_request import RecommendationRequest
from recommender_serving.request_answers import RequestedList

T = TypeVar("T")


class RecommenderClient:
    """Asks one service; threads may share it. Every method may raise what `client.errors` has.

    Args:
        address: Base address, e.g. `http://127.0.0.1:8000`.
        api_key: Sent with every call, where the service asks for one.
        timeout_seconds: For connecting and for each wait for an answer.
        retries: When to try again.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 5.0,
        retries: Retries = Retries(),  # noqa: B008 (immutable)
    ) -> None:
        self._http = httpx.Client(**options(address, api_key, timeout_seconds))
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def recommendations(
        self, user_id: str, num_recommendations: int = 10, *, exclude_seen: bool = True
    ) -> RecommendationList:
        """The best items for a user, best first; a user nobody knows gets the popular list."""
        return self._ask(calls.recommendations(user_id, num_recommendations, exclude_seen=exclude_seen))

    def recommend(self, request: RecommendationRequest) -> RequestedList:
        """A list under rules, for the user or the session (`items`) that the request names."""
        return self._ask(calls.recommend(request))

    def recommend_to_users(
        self,
        users: Iterable[str],
        request: RecommendationRequest = RecommendationRequest(),  # noqa: B008 (immutable)
    ) -> list[RequestedList]:
        """One list for each user, in their order, all under the rules of the request, which names nobody."""
        return (self._ask(calls.recommend_to_users(users, request))).lists

    def similar_items(self, item_id: str, num_items: int = 10) -> SimilarItems:
        """The items most like one item."""
        return self._ask(calls.similar_items(item_id, num_items))

    def popular_items(self, num_recommendations: int = 10, *, window: WindowOrAll = "all") -> PopularItems:
        """The items with most users, or with most interactions inside a window that ends now."""
        return self._ask(calls.popular_items(num_recommendations, window))

    def known_users(self) -> list[str]:
        """Some users of the model, from the most to the least active."""
        return (self._ask(calls.known_users())).users

    def user(self, user_id: str, num_items: int = 20) -> UserDescription:
        """What is known of a user, with the latest items, and how the user's vector came to be."""
        return self._ask(calls.user(user_id, num_items))

    def history(self, user_id: str, num_items: int = 100) -> UserHistory:
        """What counts for a user's lists, the latest first."""
        return self._ask(calls.history(user_id, num_items))

    def send(self, interactions: Iterable[Interaction]) -> EventCounts:
        """Store interactions; returns once they are safe. The next list on that replica follows them."""
        return self._ask(calls.send(interactions))

    def forget(self, user_id: str) -> ForgottenUser:
        """Have a user forgotten; returns once that is safe. Needs a key with the scope `admin`, where keys are used."""
        return self._ask(calls.forget(user_id))

    def model(self) -> ModelDescription:
        """The model in service."""
        return self._ask(calls.model())

    def readiness(self) -> Health:
        """Whether the service has a model to answer with, and what degrades it."""
        return self._ask(calls.readiness())

    def _ask(self, call: Call[T]) -> T:
        attempt = 1
        while True:
            failure, response = None, None
            try:
                response = self._http.request(**request_of(call))
            except httpx.TransportError as error:
                failure = error
            pause = self._retries.pause(attempt, response)
            if pause is None and response is not None:
                return call.decode(response)
            if pause is None:
                raise UnreachableError(f"{call.method} {call.path}: {failure!r} after {attempt} tries") from failure
            time.sleep(pause)
            attempt += 1
