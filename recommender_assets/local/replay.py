"""Sends the ratings that are newer than the imported history to Kafka, as the events of live users."""

import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import KafkaError, Message, Producer

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.month_range import history_with_range
from recommender_assets.settings import Settings
from recommender_serving.engine.events import Event, derived_event_id, encode_event

Progress = Callable[[int, int], None]
"""Called with (events sent, events in all)."""

_PROGRESS_EVERY = 500
_ERRORS_ONLY = 3  # a broker that has just started makes librdkafka warn and try again


class ReplayError(RuntimeError):
    """There is nothing to replay, or Kafka did not take all events."""


def ratings_to_replay(settings: Settings) -> pa.Table:
    """Ratings newer than the history's last month, in time order (columns of `sources.ratings`).

    Raises:
        ReplayError: the configured history is not the one whose later ratings are built in.
    """
    if settings.history.source != "movielens":
        raise ReplayError(
            f"history.source is {settings.history.source}: only the built-in ratings (movielens) can be replayed, and "
            f"their users and items are others than those of {settings.history.path}"
        )
    return sources.ratings().filter(pc.field("timestamp") >= history_with_range(settings).end)


def replay_ratings(settings: Settings, rate: float | None = None, progress: Progress | None = None) -> int:
    """Send `ratings_to_replay` and wait until the broker has acknowledged all of them.

    Args:
        settings: broker, topic and the history's last month.
        rate: events per second; None = as fast as the broker takes them.
        progress: called now and then, and at the end.

    Raises:
        ReplayError: the broker refused or did not acknowledge some events.

    Returns:
        Number of events sent.
    """
    return send_ratings(settings, ratings_to_replay(settings), rate, progress)


def send_ratings(settings: Settings, rows: pa.Table, rate: float | None, progress: Progress | None) -> int:
    """Send ratings (columns of `sources.ratings`) in their order, keyed by user; see `replay_ratings`."""
    producer = Producer(settings.streaming.producer_properties | {"linger.ms": 5, "log_level": _ERRORS_ONLY})
    failures: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(str(error))

    started = time.monotonic()
    for sent, event in enumerate(_events(rows)):
        _wait_for_turn(producer, started, sent, rate)
        _produce(producer, settings.streaming.topic, event, delivered)
        if progress is not None and sent % _PROGRESS_EVERY == 0:
            progress(sent, rows.num_rows)
    unsent = producer.flush(60)
    if failures or unsent:
        reason = failures[0] if failures else "no acknowledgement within 60 s"
        raise ReplayError(f"{len(failures) + unsent} of {rows.num_rows} events were not taken by Kafka: {reason}")
    if progress is not None:
        progress(rows.num_rows, rows.num_rows)
    return int(rows.num_rows)


def _events(rows: pa.Table) -> list[Event]:
    columns = [rows["user_id"], rows["item_id"], rows["rating"], rows["timestamp"].cast(pa.int64())]
    return [
        Event(user, item, "rating", rating, time_us, derived_event_id(user, item, "rating", time_us))
        for user, item, rating, time_us in zip(*(column.to_pylist() for column in columns), strict=True)
    ]


def _wait_for_turn(producer: Producer, started: float, sent: int, rate: float | None) -> None:
    while rate is not None and (ahead := sent / rate - (time.monotonic() - started)) > 0:
        producer.poll(min(ahead, 0.1))


def _produce(
    producer: Producer, topic: str, event: Event, delivered: Callable[[KafkaError | None, Message], None]
) -> None:
    while True:
        try:
            producer.produce(topic, encode_event(event), key=event.user_id, on_delivery=delivered)
        except BufferError:
            producer.poll(0.5)
        else:
            producer.poll(0)
            return
