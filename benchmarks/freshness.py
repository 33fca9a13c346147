"""From an event to the list that knows it, under load: `python -m benchmarks.freshness [--events-per-s 1000]`.

Starts a real broker and the service. Other processes produce events for random users at the given rate and ask for
random users' lists meanwhile; one event at a time is followed, once through `POST /events` (from sending it to holding
the changed list) and once through Kafka (from giving it to a producer, asking again and again). The last line is one
JSON object.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.load_generator import Summary, summarise
from benchmarks.running_service import PROJECT, Service, finished, running_service
from benchmarks.serving import user_paths
from benchmarks.synthetic_models import MOVIELENS_1M, publish, synthetic_model
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.jars import resolve_jars
from recommender_serving.engine.config import StreamingSettings

ROUNDS = 300
REQUESTS_PER_S = 500.0
_SECONDS = 30.0  # of the load, longer than both ways take
_START = 1_704_067_200  # 2024-01-01T00:00:00Z


def through_post(service: Service) -> Summary:
    """Every user's list has to know the event as soon as it is acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port)

    def send(user: str, second: int) -> None:
        connection.request("POST", "/events", body=_event(user, second), headers=service.headers)
        connection.getresponse().read()
        while (known := _as_of(connection, service, user)) != _moment(second):
            if known != "None":
                raise RuntimeError(f"user {user}: the list after the event does not know it")

    return _timed(send, "post")


def through_kafka(service: Service, streaming: StreamingSettings) -> Summary:
    """Asks until the list knows the event."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port)
    producer = Producer(streaming.producer_properties | {"linger.ms": 0})

    def send(user: str, second: int) -> None:
        producer.produce(streaming.topic, _event(user, second), key=user.encode())
        producer.poll(0)
        while _as_of(connection, service, user) != _moment(second):
            time.sleep(0.0005)

    return _timed(send, "kafka")


def produce(bootstrap: str, topic: str, rate: float, seconds: float) -> None:
    """Events of random users, evenly, for a while."""
    streaming = StreamingSettings(kafka_bootstrap_servers=bootstrap, topic=topic)
    producer = Producer(streaming.producer_properties)
    random = np.random.default_rng(0)
    started = time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - started) < seconds:
        for _ in range(int(passed * rate) - sent):
            user = str(random.integers(MOVIELENS_1M.users))
            producer.produce(topic, _event(user, sent), key=user.encode())
            sent += 1
        producer.poll(0.005)
    producer.flush(10)


def _timed(send: Callable[[str, int], None], prefix: str) -> Summary:
    latencies = []
    started = time.perf_counter()
    for number in range(ROUNDS):
        sent = time.perf_counter()
        send(f"{prefix}{number}", number)
        latencies.append(time.perf_counter() - sent)
        time.sleep(0.01)
    return summarise(np.array(latencies), 0, time.perf_counter() - started)


def _event(user: str, second: int) -> bytes:
    item = str(second * 7 % MOVIELENS_1M.items)
    return json.dumps({"user_id": user, "item_id": item, "rating": 4, "timestamp": _START + second}).encode()


def _moment(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_START + second))


def _as_of(connection: http.client.HTTPConnection, service: Service, user: str) -> str:
    connection.request("GET", f"/recommendations/user/{user}", headers=service.headers)
    return str(json.loads(connection.getresponse().read()).get("as_of"))  # None in a refusal, which counts as time


def main() -> None:
    """Measure both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events-per-s", type=float, default=1_000.0, help="background events (default: 1000)")
    options = parser.parse_args()
    jars = PROJECT / ".local" / "jars"
    resolve_jars(jars, PROJECT / "requirements" / "jars.lock")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        publish(folder / "data", synthetic_model(MOVIELENS_1M))
        with LocalBroker(folder / "kafka", port=0, jars=jars / "kafka") as broker:
            streaming = StreamingSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
            admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
            admin.create_topics([NewTopic(streaming.topic, 2, 1)])[streaming.topic].result(10)
            with running_service(folder / "data", broker.bootstrap_servers) as service:
                print(msgspec.json.encode(_measure(service, streaming, options.events_per_s)).decode())


def _measure(service: Service, streaming: StreamingSettings, rate: float) -> dict[str, object]:
    call = f"produce({streaming.kafka_bootstrap_servers!r}, {streaming.topic!r}, {rate}, {_SECONDS})"
    producer = subprocess.Popen(
        [sys.executable, "-c", f"from benchmarks.freshness import produce; {call}"], cwd=PROJECT
    )
    load = service.start_load(user_paths(MOVIELENS_1M), seconds=_SECONDS, rate=REQUESTS_PER_S)
    time.sleep(2)  # both are under way
    post, kafka = through_post(service), through_kafka(service, streaming)
    ran_throughout = load.poll() is None and producer.poll() is None
    meanwhile = finished(load)
    producer.wait()
    return {
        "benchmark": "freshness",
        "events_per_s": rate,
        "post_p99_ms": post.p99_ms,
        "kafka_p99_ms": kafka.p99_ms,
        "through_post": post,
        "through_kafka": kafka,
        "lists_meanwhile": meanwhile,
        "load_ran_throughout": ran_throughout,
        "resident_mib": service.resident_mib,
    }


if __name__ == "__main__":
    main()
