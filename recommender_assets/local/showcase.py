"""What the demo shows of the running service: a list before and after live ratings, and how soon it changed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx
from confluent_kafka import Producer
from recommender_serving.engine.events import Event, derived_event_id, encode_event

CHANGE_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.002


class ShowcaseError(RuntimeError):
    """The service did not answer as it must; the message says what was expected and what came."""


@dataclass(frozen=True)
class Change:
    """A user's lists before and after live ratings.

    Attributes:
        before: the recommendations before the ratings.
        rated: the recommended items that were rated, out of `before`.
        after: the first list that knows all of the ratings.
        source_before: `personalized`, `folded_in` or `popular`.
        milliseconds: from just before the first rating was handed to Kafka until `after` was received.
    """

    before: list[dict[str, Any]]
    rated: list[dict[str, Any]]
    after: list[dict[str, Any]]
    source_before: str
    milliseconds: float


class ServiceClient:
    """The demo's view of the recommendation service at a base address."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the service has loaded the champion and replayed the events after it."""
        try:
            return self._http.get("/health/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def recommendations(self, user_id: str, count: int = 10) -> dict[str, Any]:
        """The service's answer for a user.

        Raises:
            ShowcaseError: if the answer is not 200.
        """
        answer = self._http.get(
            f"/recommendations/user/{quote(user_id, safe='')}", params={"num_recommendations": count}
        )
        if answer.status_code != httpx.codes.OK:
            raise ShowcaseError(f"expected recommendations for user {user_id}, got {answer.status_code}: {answer.text}")
        body: dict[str, Any] = answer.json()
        return body


def rate_and_watch(
    service: ServiceClient, producer: Producer, topic: str, user_id: str, ratings: Sequence[float]
) -> Change:
    """Rate the first items of a user's list through Kafka and wait until the list has changed.

    Args:
        service: the running service.
        producer: a producer for the broker that the service follows.
        topic: the topic of interaction events.
        user_id: who rates.
        ratings: stars for the first, second, ... recommended item.

    Raises:
        ShowcaseError: if the list does not change within `CHANGE_TIMEOUT_SECONDS`.
    """
    answer = service.recommendations(user_id)
    before = answer["recommendations"]
    rated = before[: len(ratings)]
    rated_ids = {item["item_id"] for item in rated}
    started = time.perf_counter()
    for item, stars in zip(rated, ratings, strict=True):
        _send_rating(producer, topic, user_id, item["item_id"], stars)

    def knows_ratings(candidate: dict[str, Any]) -> bool:
        listed = {item["item_id"] for item in candidate["recommendations"]}
        return candidate["source"] == "folded_in" and not listed & rated_ids

    after = _poll(lambda: service.recommendations(user_id), knows_ratings, producer)
    milliseconds = (time.perf_counter() - started) * 1000
    return Change(before, rated, after["recommendations"], answer["source"], milliseconds)


def _send_rating(producer: Producer, topic: str, user_id: str, item_id: str, stars: float) -> None:
    timestamp_us = time.time_ns() // 1000
    event = Event(
        user_id=user_id,
        item_id=item_id,
        event_type="rating",
        rating=stars,
        timestamp_us=timestamp_us,
        event_id=derived_event_id(user_id, item_id, "rating", timestamp_us),
        ranking_id=None,
    )
    producer.produce(topic, key=user_id.encode(), value=encode_event(event))


def _poll(
    ask: Callable[[], dict[str, Any]], is_expected: Callable[[dict[str, Any]], bool], producer: Producer
) -> dict[str, Any]:
    deadline = time.monotonic() + CHANGE_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        producer.poll(0)
        answer = ask()
        if is_expected(answer):
            return answer
        time.sleep(POLL_SECONDS)
    raise ShowcaseError(f"the list did not change within {CHANGE_TIMEOUT_SECONDS:.0f} s of the ratings: {answer}")


def list_lines(
    left_title: str, left: Sequence[str], right_title: str, right: Sequence[str], width: int = 48
) -> list[str]:
    """Two lists side by side, as lines of text; long entries are cut."""
    rows = max(len(left), len(right))
    padded_left = [*left, *[""] * (rows - len(left))]
    padded_right = [*right, *[""] * (rows - len(right))]
    lines = [f"  {left_title:<{width}}  {right_title}"]
    lines += [f"  {_cut(a, width):<{width}}  {_cut(b, width)}" for a, b in zip(padded_left, padded_right, strict=True)]
    return [line.rstrip() for line in lines]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
