"""Throughput, latency and freshness of the service over HTTP, on a synthetic model of MovieLens-1M's size.

Starts a real broker and the real service, each in a process of its own, and loads it from a third.
`python -m benchmarks.http [--seconds 5]`; the last line is one JSON object.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.load_generator import Job, Summary, summarise
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.jars import resolve_jars
from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.config import StreamingSettings
from recommender_serving.engine.factor_model import (
    Catalogue,
    FactorModel,
    Manifest,
    RankingHead,
    RatingHead,
    write_model,
)
from recommender_serving.engine.history import latest_events
from recommender_serving.engine.string_table import StringTable

PROJECT = Path(__file__).parents[1]
N_USERS, N_ITEMS, FACTORS, EVENTS = 6_040, 3_706, 100, 1_000_209
CONNECTIONS = 16
FRESHNESS_ROUNDS = 200


def synthetic_model(seed: int = 0) -> FactorModel:
    """Random factors and a random history of ML-1M's size; speed does not depend on what they mean."""
    rng = np.random.default_rng(seed)

    def factors(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return rng.normal(scale=0.2, size=(rows, FACTORS)).astype(np.float32)

    history = latest_events(
        N_USERS,
        rng.integers(0, N_USERS, EVENTS).astype(np.int32),
        (rng.beta(0.6, 2.5, EVENTS) * N_ITEMS).astype(np.int32),
        np.zeros(EVENTS, dtype=np.int8),
        rng.integers(1, 6, EVENTS).astype(np.float32),
        np.arange(EVENTS, dtype=np.int64),
        np.arange(EVENTS, dtype=np.int64),
    )
    names = [f"Film number {item} of the catalogue ({1930 + item % 90})" for item in range(N_ITEMS)]
    return FactorModel(
        manifest=Manifest(algorithm="svd", version="svd-benchmark", created_at="2024-01-01T00:00:00Z"),
        user_ids=StringTable.from_strings(sorted(str(user) for user in range(N_USERS))),
        item_ids=StringTable.from_strings(sorted(str(item) for item in range(N_ITEMS))),
        rating=RatingHead(
            global_mean=3.6,
            item_bias=rng.normal(scale=0.3, size=N_ITEMS).astype(np.float32),
            item_factors=factors(N_ITEMS),
            user_bias=rng.normal(scale=0.3, size=N_USERS).astype(np.float32),
            user_factors=factors(N_USERS),
            prior=np.zeros(FACTORS, dtype=np.float32),
            implicit_factors=np.empty((0, FACTORS), dtype=np.float32),
            regularization=5.0,
            bias_regularization=3.0,
            has_user_bias=True,
            non_negative=False,
        ),
        ranking=RankingHead(
            item_factors=factors(N_ITEMS),
            user_factors=factors(N_USERS),
            prior=np.zeros(FACTORS, dtype=np.float32),
            regularization=6.0,
            unobserved_weight=0.2,
            non_negative=False,
        ),
        history=history,
        popularity=np.bincount(history.item, minlength=N_ITEMS).astype(np.float32),
        catalogue=Catalogue(
            titles=StringTable.from_strings(names),
            categories=StringTable.from_strings(["Drama"] * N_ITEMS),
            year=np.full(N_ITEMS, 1990, dtype=np.int16),
        ),
    )


@dataclass
class Service:
    """The running service and how to ask it."""

    port: int
    process: psutil.Process

    def load(self, paths: list[str], seconds: float) -> Summary:
        """Load the service from a process of its own."""
        job = Job("127.0.0.1", self.port, paths, CONNECTIONS, seconds)
        command = [sys.executable, "-m", "benchmarks.load_generator"]
        done = subprocess.run(
            command,
            input=msgspec.json.encode(job),
            stdout=subprocess.PIPE,
            check=True,
            cwd=PROJECT,
            timeout=seconds + 60,
        )
        return msgspec.json.decode(done.stdout, type=Summary)


@contextmanager
def running_service(root: Path, bootstrap: str) -> Iterator[Service]:
    """`python -m recommender_serving` on a free port, ready to answer."""
    port = _free_port()
    environment = {
        **os.environ,
        "RECOMMENDER__STORAGE__ROOT": str(root),
        "RECOMMENDER__API__PORT": str(port),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": bootstrap,
    }
    command = [sys.executable, "-m", "recommender_serving", "--config", str(PROJECT / "config.yaml")]
    process = subprocess.Popen(command, env=environment, cwd=PROJECT)
    try:
        _wait_until_ready(port, process)
        yield Service(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(20)


def freshness_through_post(service: Service) -> Summary:
    """From sending an event by `POST /events` to holding the list that knows it."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    latencies = []
    for number in range(FRESHNESS_ROUNDS):
        user, event = _event(number)
        started = time.perf_counter()
        connection.request("POST", "/events", body=event)
        connection.getresponse().read()
        stale = _as_of(connection, user) != _moment(number)
        latencies.append(time.perf_counter() - started)
        if stale:
            raise RuntimeError(f"user {user}: the list after the event does not know it")
    return summarise(latencies, 0, sum(latencies))


def freshness_through_kafka(service: Service, streaming: StreamingSettings) -> Summary:
    """From giving an event to a producer to holding the list that knows it, asking again and again."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    producer = Producer(streaming.producer_properties | {"linger.ms": 0})
    latencies = []
    for number in range(FRESHNESS_ROUNDS, 2 * FRESHNESS_ROUNDS):
        user, event = _event(number)
        started = time.perf_counter()
        producer.produce(streaming.topic, event, key=user.encode())
        while _as_of(connection, user) != _moment(number):
            producer.poll(0)
        latencies.append(time.perf_counter() - started)
    producer.flush(5)
    return summarise(latencies, 0, sum(latencies))


def _event(number: int) -> tuple[str, bytes]:
    user = str(number % N_USERS)
    event = {"user_id": user, "item_id": str(number % N_ITEMS), "rating": 4, "timestamp": _moment(number)}
    return user, json.dumps(event).encode()


def _moment(number: int) -> str:
    return f"2024-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"


def _as_of(connection: http.client.HTTPConnection, user: str) -> str:
    connection.request("GET", f"/recommendations/user/{user}")
    return str(json.loads(connection.getresponse().read())["as_of"])


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the service did not become ready")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the warm run (default: 5)")
    seconds = parser.parse_args().seconds
    jars = PROJECT / ".local" / "jars"
    resolve_jars(jars, PROJECT / "requirements" / "jars.lock")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        model = synthetic_model()
        write_model(version_directory(root, model.version), model)
        write_pointer(root, ChampionPointer(version=model.version, predecessor=None, deployed={}, promoted_at=""))
        arrays = sum(path.stat().st_size for path in version_directory(root, model.version).iterdir())
        with LocalBroker(Path(folder) / "kafka", port=0, jars=jars / "kafka") as broker:
            streaming = StreamingSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
            admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
            admin.create_topics([NewTopic(streaming.topic, 1, 1)])[streaming.topic].result(10)
            with running_service(root, broker.bootstrap_servers) as service:
                paths = [f"/recommendations/user/{user}" for user in range(N_USERS)]
                np.random.default_rng(0).shuffle(paths)
                result = {
                    "benchmark": "http",
                    "users": N_USERS,
                    "items": N_ITEMS,
                    "factors": FACTORS,
                    "connections": CONNECTIONS,
                    "cold": service.load(paths, seconds=0),
                    "warm": service.load(paths, seconds),
                    "event_to_list_through_post": freshness_through_post(service),
                    "event_to_list_through_kafka": freshness_through_kafka(service, streaming),
                    "resident_mib": round(service.process.memory_info().rss / 2**20, 1),
                    "arrays_mib": round(arrays / 2**20, 1),
                }
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
