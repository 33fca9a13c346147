"""What the demo shows of the running service: lists before and after live ratings, and how soon they changed."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from confluent_kafka import Producer

from recommender_assets.local.demo_facts import known_user, liked_films
from recommender_assets.local.service_client import ServiceClient, ServiceError
from recommender_assets.settings import Settings
from recommender_serving.engine.events import Event, derived_event_id, encode_event

STARS = (5.0, 4.5, 5.0)
CHANGE_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Change:
    """A user's lists before and after live ratings.

    Attributes:
        rated: the recommended items that were rated.
        after: the first list that knows all of the ratings.
        milliseconds: from just before the first rating was handed to Kafka until `after` was received.
    """

    rated: list[dict[str, Any]]
    after: list[dict[str, Any]]
    milliseconds: float


def show(settings: Settings, service: ServiceClient, started: float) -> dict[str, float]:
    """Show a known and a brand-new user's lists before and after three live ratings.

    Args:
        settings: broker and topic.
        service: the running service.
        started: `time.monotonic()` when the demo began.

    Returns:
        `first_recommendation_s`, `event_to_list_ms` and `new_user_ms`.
    """
    producer = Producer(settings.streaming.producer_properties | {"linger.ms": 0})
    user = known_user()
    before = service.recommendations(user)["recommendations"]
    first = time.monotonic() - started
    for line in side_by_side(f"user {user} liked", liked_films(user, len(before)), "is recommended", _lines(before)):
        click.echo(line)
    known = _show_change(settings, service, producer, user, before)
    newcomer = f"new-{uuid.uuid4().hex[:8]}"
    answer = service.recommendations(newcomer)
    if answer["source"] != "popular":
        raise ServiceError(f"expected the popular list for the unknown user {newcomer}, got {answer['source']}")
    new = _show_change(settings, service, producer, newcomer, answer["recommendations"])
    producer.flush()
    return {
        "first_recommendation_s": round(first, 1),
        "event_to_list_ms": round(known.milliseconds, 1),
        "new_user_ms": round(new.milliseconds, 1),
    }


def _show_change(
    settings: Settings, service: ServiceClient, producer: Producer, user: str, before: list[dict[str, Any]]
) -> Change:
    change = rate_and_watch(service, producer, settings.streaming.topic, user, STARS)
    rated = ", ".join(f"{item['title']} ({stars})" for item, stars in zip(change.rated, STARS, strict=True))
    click.echo(f"\n      user {user} rates through Kafka: {rated}")
    click.echo(f"      {change.milliseconds:.0f} ms later:")
    for line in side_by_side("before", _lines(before), "after", _lines(change.after)):
        click.echo(line)
    return change


def _lines(recommendations: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{item['predicted_rating']:.1f}  {item['title']}" for item in recommendations]


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
        ServiceError: if the list does not change within `CHANGE_TIMEOUT_SECONDS`.
    """
    rated = service.recommendations(user_id)["recommendations"][: len(ratings)]
    rated_ids = {item["item_id"] for item in rated}
    started = time.perf_counter()
    for item, stars in zip(rated, ratings, strict=True):
        _send_rating(producer, topic, user_id, item["item_id"], stars)

    def knows_ratings(candidate: dict[str, Any]) -> bool:
        listed = {item["item_id"] for item in candidate["recommendations"]}
        return candidate["source"] == "folded_in" and not listed & rated_ids

    after = _poll(lambda: service.recommendations(user_id), knows_ratings, producer)
    milliseconds = (time.perf_counter() - started) * 1000
    return Change(rated, after["recommendations"], milliseconds)


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
    raise ServiceError(f"the list did not change within {CHANGE_TIMEOUT_SECONDS:.0f} s of the ratings: {answer}")


def side_by_side(
    left_title: str, left: Sequence[str], right_title: str, right: Sequence[str], width: int = 48
) -> list[str]:
    """Two lists side by side, as lines of text; long entries are cut."""
    rows = max(len(left), len(right))
    padded_left = [*left, *[""] * (rows - len(left))]
    padded_right = [*right, *[""] * (rows - len(right))]
    lines = [f"      {left_title:<{width}}  {right_title}"]
    lines += [
        f"      {_cut(a, width):<{width}}  {_cut(b, width)}" for a, b in zip(padded_left, padded_right, strict=True)
    ]
    return [line.rstrip() for line in lines]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
