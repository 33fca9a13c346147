"""Looks at everything the system needs on this machine and says how to mend what is wrong."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from confluent_kafka import KafkaException

from recommender_assets.ingestion.kafka_admin import admin_client
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import table_version
from recommender_assets.local.jars import JARS_DIRECTORY, JarError, differing_jars, read_lock
from recommender_assets.local.prerequisites import java_problem
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import DamagedPointerError, read_pointer, version_directory
from recommender_serving.engine.factor_model import DamagedModelError, read_model

KAFKA_TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what was looked at.
        is_well: whether it is as it must be.
        detail: what was found, and if it is not well, what mends it.
    """

    subject: str
    is_well: bool
    detail: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at Java, jars, ports, broker, tables and champion, in this order."""
    problem = java_problem()
    yield Finding("Java", problem is None, problem or "17 or newer")
    yield _jars()
    for key, port in (("dagster.port", settings.dagster.port), ("mlflow.port", settings.mlflow.port)):
        yield _port(key, port)
    yield _broker(settings)
    for name in get_args(TableName):
        yield _table(settings, name)
    yield _champion(settings)


def port_is_taken(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens on a TCP port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _jars() -> Finding:
    try:
        lock = read_lock()
    except JarError as error:
        return Finding("jars", False, str(error))
    differing = [name for jar_set, pinned in lock.items() for name in differing_jars(JARS_DIRECTORY / jar_set, pinned)]
    if differing:
        return Finding("jars", False, f"missing or not the pinned ones, run `make jars`: {', '.join(differing)}")
    return Finding("jars", True, "present, hashes match the lock file")


def _port(key: str, port: int) -> Finding:
    if port_is_taken(port):
        return Finding(f"port {port}", False, f"something listens there; it may be ours, else set {key} to a free port")
    return Finding(f"port {port}", True, f"free for {key}")


def _broker(settings: Settings) -> Finding:
    servers, wanted = (
        settings.streaming.kafka_bootstrap_servers,
        (settings.streaming.topic, settings.recommendation_log.topic),
    )
    client = admin_client(settings.streaming)
    try:
        topics = client.list_topics(timeout=KAFKA_TIMEOUT_SECONDS).topics
    except KafkaException:
        mend = "start Kafka or set streaming.kafka_bootstrap_servers"
        return Finding("Kafka", False, f"no broker answers at {servers}: {mend}")
    if missing := [topic for topic in wanted if topic not in topics]:
        return Finding("Kafka", False, f"{servers} has no topic {', '.join(missing)}: run `recommender init-tables`")
    found = [f"topic {topic} with {len(topics[topic].partitions)} partitions" for topic in wanted]
    return Finding("Kafka", True, f"{servers}, {', '.join(found)}")


def _table(settings: Settings, name: TableName) -> Finding:
    version = table_version(settings.root, name)
    if version is None:
        return Finding(f"table {name}", False, "missing: run `recommender init-tables`")
    return Finding(f"table {name}", True, f"version {version}")


def _champion(settings: Settings) -> Finding:
    try:
        pointer = read_pointer(settings.root)
        if pointer is None:
            return Finding("champion", False, "none yet: run `recommender train` once there are interactions")
        model = read_model(version_directory(settings.root, pointer.version))
    except (DamagedPointerError, DamagedModelError) as error:
        return Finding("champion", False, f"{error}; promote another version with `recommender train`")
    return Finding("champion", True, f"{pointer.version}: {model.n_users:,} users, {model.n_items:,} items")
