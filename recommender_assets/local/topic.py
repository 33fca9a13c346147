"""The topics of events and of served lists: created with what the system relies on, and counted."""

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

from recommender_assets.ingestion.kafka_admin import admin_client
from recommender_assets.ingestion.topic_position import TopicMissingError, topic_id, watermarks
from recommender_assets.settings import Settings
from recommender_serving.engine.config import StreamingSettings

_TIMEOUT_S = 30.0


def create_topic(settings: Settings) -> bool:
    """Create the configured topic unless it exists; returns whether it was created.

    Records get the broker's time (`LogAppendTime`): an event's time stamp is judged against it.
    """
    return _create(settings, settings.streaming.topic, settings.streaming.partitions)


def create_log_topic(settings: Settings) -> bool:
    """Create the topic of served lists unless it exists; returns whether it was created."""
    return _create(settings, settings.recommendation_log.topic, settings.recommendation_log.partitions)


def _create(settings: Settings, topic: str, partitions: int) -> bool:
    client = admin_client(settings.streaming)
    new = NewTopic(topic, partitions, config={"message.timestamp.type": "LogAppendTime"})
    try:
        client.create_topics([new], request_timeout=_TIMEOUT_S)[topic].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    _wait_until_known(settings, topic)
    return True


def delete_topics(streaming: StreamingSettings, topics: Iterable[str]) -> None:
    """Delete topics with all their records; those that do not exist are no error."""
    client = admin_client(streaming)
    for deleted in client.delete_topics(list(topics), request_timeout=_TIMEOUT_S).values():
        try:
            deleted.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise


def _wait_until_known(settings: Settings, topic: str) -> None:
    """Wait until the broker tells of a topic that it has just created: its metadata follow a little later."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            topic_id(settings.streaming, topic)
        except TopicMissingError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def record_count(settings: Settings) -> int:
    """Number of offsets that the topic holds now (transaction markers count too)."""
    streaming = settings.streaming
    marks = watermarks(streaming, streaming.topic)
    return sum(mark.high - mark.low for mark in marks.values())
