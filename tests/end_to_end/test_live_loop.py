"""Events, sensor, Dagster run, champion, HTTP answer, new event, changed answer, retraining, hot swap."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from recommender_assets.definitions import defs
from recommender_assets.defs import resources as resource_definitions
from recommender_assets.defs.automation import kafka_offset_sensor, retraining_sensor
from recommender_assets.ingestion import sources
from recommender_assets.local.replay import send_ratings
from recommender_assets.settings import NmfSettings, Settings, SvdSettings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.events import Event, derived_event_id, encode_event
from tests.waiting import wait_until

PROJECT = Path(__file__).parents[2]
USERS, FILMS = 150, 200
NOW_US = time.time_ns() // 1_000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Small, quick models; one new interaction is enough to train again."""
    return with_models(settings, SvdSettings(factors=8, epochs=4), NmfSettings(factors=4, iterations=2))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def start_service(settings: Settings) -> Iterator[Callable[[], httpx.Client]]:
    """Starts the real service process; it ends with the test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        **os.environ,
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "RECOMMENDER__STORAGE__ROOT": str(settings.root),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": settings.streaming.kafka_bootstrap_servers,
        "RECOMMENDER__STREAMING__TOPIC": settings.streaming.topic,
        "RECOMMENDER__API__PORT": str(port),
    }
    running: list[subprocess.Popen[bytes]] = []
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)

    def start() -> httpx.Client:
        running.append(subprocess.Popen([sys.executable, "-m", "recommender_serving"], env=environ, cwd=PROJECT))
        wait_until(lambda: is_ready(client), 30, "the service is ready")
        return client

    yield start
    client.close()
    for process in running:
        process.terminate()
        process.wait(20)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::dagster.BetaWarning"
)
def test_live_loop(
    settings: Settings,
    topic: str,
    spark: SparkSession,
    instance: dg.DagsterInstance,
    start_service: Callable[[], httpx.Client],
) -> None:
    materialize("items", settings, instance)
    send_ratings(settings, popular_ratings(), None, None)

    first_job, cursor = tick(kafka_offset_sensor, settings, instance, None)
    assert first_job == "recommendation_job"
    run(first_job, settings, instance)
    first = read_pointer(settings.root)
    assert first is not None
    assert set(first.deployed) == {"svd", "nmf"}
    assert tick(kafka_offset_sensor, settings, instance, cursor)[0] is None

    service = start_service()
    user = popular_ratings()["user_id"][0].as_py()
    before = recommendations(service, user)
    assert before["model"]["version"] == first.version
    assert before["source"] == "personalized"
    assert all(entry["title"] for entry in before["recommendations"])

    rated = before["recommendations"][0]["item_id"]
    send(settings, user, rated, 5.0)
    wait_until(lambda: rated not in items(recommendations(service, user)), 5, "the rated film leaves the list")
    after = recommendations(service, user)
    assert after["source"] == "folded_in"

    next_job, _ = tick(kafka_offset_sensor, settings, instance, cursor)
    assert next_job == "ingest_job"
    materialize("interactions", settings, instance)
    better = with_models(settings, SvdSettings(factors=16), NmfSettings(factors=8))
    train_job, _ = tick(retraining_sensor, better, instance, None)
    assert train_job == "train_job"
    run(train_job, better, instance)
    second = read_pointer(settings.root)
    assert second is not None
    assert (second.predecessor, second.version != first.version) == (first.version, True)

    wait_until(lambda: served_version(service, user) == second.version, 15, "the service swaps the champion")
    swapped = recommendations(service, user)
    assert swapped["source"] == "personalized"
    assert rated not in items(swapped)


def with_models(settings: Settings, svd: SvdSettings, nmf: NmfSettings) -> Settings:
    models = msgspec.structs.replace(settings.models, svd=svd, nmf=nmf)
    training = msgspec.structs.replace(settings.training, retrain_after_interactions=1)
    return msgspec.structs.replace(settings, models=models, training=training)


def popular_ratings() -> pa.Table:
    """The ratings of the most active users of the most rated films."""
    ratings = sources.ratings()
    users, films = most_frequent(ratings["user_id"], USERS), most_frequent(ratings["item_id"], FILMS)
    return ratings.filter(pc.and_(pc.is_in(ratings["user_id"], users), pc.is_in(ratings["item_id"], films)))


def most_frequent(column: pa.ChunkedArray, count: int) -> pa.Array:
    ranked = column.value_counts().sort(order="descending", by="counts")
    return ranked.field("values").slice(0, count)


def tick(
    sensor: dg.SensorDefinition, settings: Settings, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[str | None, str | None]:
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"settings": settings}) as context:
        result = sensor.evaluate_tick(context)
    names = [request.job_name or sensor.job_name for request in result.run_requests or []]
    return (names[0] if names else None), result.cursor


def run(job: str, settings: Settings, instance: dg.DagsterInstance) -> None:
    definition = defs().resolve_job_def(job)
    assert definition.execute_in_process(instance=instance, resources={"settings": settings}).success


def materialize(asset: str, settings: Settings, instance: dg.DagsterInstance) -> None:
    from recommender_assets.defs.interactions import assets

    resources = {"settings": settings, "spark": resource_definitions.spark}
    assert dg.materialize([getattr(assets, asset)], instance=instance, resources=resources).success


def send(settings: Settings, user_id: str, item_id: str, rating: float) -> None:
    event_id = derived_event_id(user_id, item_id, "rating", NOW_US)
    event = Event(
        user_id=user_id,
        item_id=item_id,
        event_type="rating",
        rating=rating,
        timestamp_us=NOW_US,
        event_id=event_id,
        ranking_id=None,
    )
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    producer.produce(settings.streaming.topic, encode_event(event), key=user_id)
    assert producer.flush(10) == 0


def recommendations(service: httpx.Client, user_id: str) -> dict[str, Any]:
    answer = service.get(f"/recommendations/user/{user_id}")
    assert answer.status_code == httpx.codes.OK, answer.text
    body: dict[str, Any] = answer.json()
    return body


def served_version(service: httpx.Client, user_id: str) -> str:
    version: str = recommendations(service, user_id)["model"]["version"]
    return version


def items(answer: dict[str, Any]) -> list[str]:
    return [entry["item_id"] for entry in answer["recommendations"]]


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
