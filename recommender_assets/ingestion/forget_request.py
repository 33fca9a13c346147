"""`recommender forget`: from a request to the end of the user's rows."""

import time
from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import KafkaError, Message, Producer
from pyspark.sql import SparkSession

from recommender_assets.ingestion.erasure import Erasure, erase_forgotten
from recommender_assets.ingestion.ledger import ledger_position
from recommender_assets.ingestion.profiles.refresh import refresh_profiles
from recommender_assets.ingestion.streaming_query import ingest_or_report
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.settings import Settings
from recommender_serving.engine.events import Event, Rejection, decode_event, derived_event_id, encode_event

_ACKNOWLEDGED_S = 30.0
_INGESTED_S = 300.0
_WAIT_S = 600.0
_PAUSE_S = 0.5


class ForgetError(RuntimeError):
    """The user was not forgotten completely; the message says what is left to do."""


def forget_user(
    session: Callable[[], SparkSession], settings: Settings, user_id: str, tell: Callable[[str], None]
) -> Erasure:
    """Send a `forget` event, have it ingested, and remove what lies before it from the tables.

    The event makes every replica of the service forget the user at once. It is ingested by `recommender stream` if that
    runs, else here. Forgets that came another way are carried out, too.

    Args:
        session: starts Spark; called when the event has to be ingested here.
        settings: broker, topic and tables.
        user_id: whom to forget; need not be known.
        tell: takes a line for each step.

    Raises:
        ValueError: no valid user id.
        ForgetError: Kafka did not take the event, or it was not ingested in time.
        WriterBusyError: another process writes the tables and does not give way.
    """
    create_tables(settings.root)
    partition, offset = send_forget(settings, user_id)
    tell(f"the event is in partition {partition} at offset {offset}; the service forgets the user now")
    _have_ingested(session, settings, partition, offset)
    with WriterLease(settings.root, "forget", wait_s=_WAIT_S):
        erasure = erase_forgotten(settings)
    refresh_profiles(settings)
    return erasure


def send_forget(settings: Settings, user_id: str) -> tuple[int, int]:
    """Send a `forget` event of now; returns the partition and the offset that Kafka acknowledged.

    Raises:
        ValueError: no valid user id.
        ForgetError: Kafka did not acknowledge it.
    """
    now_us = time.time_ns() // 1_000
    event = Event(user_id, None, "forget", None, now_us, derived_event_id(user_id, None, "forget", now_us))
    value = encode_event(event)
    judged = decode_event(value, now_us // 1_000, settings.ratings)
    if isinstance(judged, Rejection):
        raise ValueError(judged.detail)  # noqa: TRY004 (what the user typed)
    acknowledged: list[tuple[int, int]] = []
    errors: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            errors.append(error)
        else:
            acknowledged.append((int(message.partition() or 0), int(message.offset() or 0)))

    producer = Producer(settings.streaming.producer_properties | {"message.timeout.ms": int(_ACKNOWLEDGED_S * 1_000)})
    producer.produce(settings.streaming.topic, value, key=user_id, on_delivery=delivered)
    producer.flush(_ACKNOWLEDGED_S + 1)
    if not acknowledged:
        reason = errors[0].str() if errors else f"no acknowledgement within {_ACKNOWLEDGED_S:g} s"
        raise ForgetError(f"Kafka did not take the event, nothing was forgotten: {reason}")
    return acknowledged[0]


def _have_ingested(session: Callable[[], SparkSession], settings: Settings, partition: int, offset: int) -> None:
    deadline = time.monotonic() + _INGESTED_S
    while ledger_position(settings.root, settings.streaming.topic).next_offsets.get(partition, 0) <= offset:
        if time.monotonic() > deadline:
            raise ForgetError(
                f"the event is stored in partition {partition} at offset {offset}, but was not ingested within "
                f"{_INGESTED_S:g} s; once it is, `recommender maintain` removes the user's rows"
            )
        with suppress(WriterBusyError):  # another run, which will end
            if not ingest_or_report(session, settings).writer:
                continue
        time.sleep(_PAUSE_S)
