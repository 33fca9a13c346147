"""The local broker itself, the topic, and the replay of ratings."""

import time
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Consumer, Message

from recommender_assets.ingestion.topic_position import topic_id, watermarks
from recommender_assets.local.broker import BrokerError, LocalBroker
from recommender_assets.local.replay import ratings_to_replay, replay_ratings, send_ratings
from recommender_assets.local.topic import create_topic, record_count
from recommender_assets.settings import Settings
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import Event, decode_event


def records(settings: Settings, count: int) -> list[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.streaming.kafka_bootstrap_servers,
            "group.id": settings.streaming.topic,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([settings.streaming.topic])
    found: list[Message] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.consume(count - len(found), timeout=0.5)
    consumer.close()
    return found


def test_topics_survive_a_restart_on_another_port(jars: Path, tmp_path: Path, settings: Settings) -> None:
    def at(bootstrap: str) -> Settings:
        streaming = msgspec.structs.replace(settings.streaming, kafka_bootstrap_servers=bootstrap)
        return msgspec.structs.replace(settings, streaming=streaming)

    topic = settings.streaming.topic
    with LocalBroker(tmp_path / "kafka", port=0, jars=jars / "kafka") as broker:
        assert create_topic(at(broker.bootstrap_servers))
        send_ratings(at(broker.bootstrap_servers), ratings_to_replay(settings).slice(0, 3), None, None)
        first_port, first_id = broker.port, topic_id(at(broker.bootstrap_servers).streaming, topic)
        with pytest.raises(BrokerError, match="a broker already runs on"):
            LocalBroker(tmp_path / "kafka", port=first_port, jars=jars / "kafka").start()
    with LocalBroker(tmp_path / "kafka", port=0, jars=jars / "kafka") as broker:
        assert broker.port != first_port
        assert topic_id(at(broker.bootstrap_servers).streaming, topic) == first_id
        assert record_count(at(broker.bootstrap_servers)) == 3


def test_a_topic_is_created_once_with_the_configured_partitions_and_broker_time(settings: Settings) -> None:
    streaming = msgspec.structs.replace(settings.streaming, partitions=3)
    settings = msgspec.structs.replace(settings, streaming=streaming)
    assert create_topic(settings)
    assert not create_topic(settings)
    assert sorted(watermarks(streaming, streaming.topic)) == [0, 1, 2]
    send_ratings(settings, ratings_to_replay(settings).slice(0, 1), None, None)
    (record,) = records(settings, 1)
    kind, time_ms = record.timestamp()
    assert kind == 2, "LogAppendTime"
    assert abs(time_ms / 1_000 - time.time()) < 60


def test_replay_sends_the_ratings_after_the_history_in_time_order_keyed_by_user(settings: Settings, topic: str) -> None:
    history = msgspec.structs.replace(settings.history, last_month="2016-09")
    settings = msgspec.structs.replace(settings, history=history)
    expected = ratings_to_replay(settings)
    steps: list[tuple[int, int]] = []

    sent = replay_ratings(settings, progress=lambda done, total: steps.append((done, total)))

    assert sent == expected.num_rows == record_count(settings) > 100
    assert steps[-1] == (sent, sent)
    found = records(settings, sent)
    events = [decode_event(record.value(), record.timestamp()[1], RatingScale()) for record in found]
    assert all(isinstance(event, Event) for event in events)
    assert [event.item_id for event in events if isinstance(event, Event)] == expected["item_id"].to_pylist()
    assert [record.key().decode() for record in found] == expected["user_id"].to_pylist()
    times = [event.timestamp_us for event in events if isinstance(event, Event)]
    assert times == sorted(times)
    assert times[0] >= history.end.timestamp() * 1e6


def test_a_rate_limits_the_replay(settings: Settings, topic: str) -> None:
    started = time.monotonic()
    assert send_ratings(settings, ratings_to_replay(settings).slice(0, 20), 50, None) == 20
    assert time.monotonic() - started >= 19 / 50
