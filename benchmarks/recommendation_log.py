"""What experiments and their log cost a request: `python -m benchmarks.recommendation_log [--seconds 4] [--rounds 2]`.

A real broker and, one after the other, services on a model of MovieLens-1M's size that log no list, those of a tenth of
the users, every list, every list of an A/B experiment, and every list of an interleaving experiment; random users with
every cache warm, the services taking turns. Requests per second share the machine with generator and broker; the
processor time of the service, all its threads, hardly depends on who else works. Afterwards every list that was
answered has to be in the topic or counted as dropped. The last line is one JSON object.
"""

import argparse
import http.client
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.load_generator import Summary
from benchmarks.running_service import PROJECT, Service, running_service
from benchmarks.serving import CONNECTIONS, user_paths
from benchmarks.synthetic_models import MOVIELENS_1M, publish, synthetic_model
from recommender_assets.ingestion.topic_position import watermarks
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.jars import resolve_jars
from recommender_serving.engine.config import StreamingSettings
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import RunningExperiment, start_experiment

SHARES = {"nothing_logged": 0.0, "tenth_of_users_logged": 0.1, "every_list_logged": 1.0}
KINDS = {"ab": "in_an_experiment", "interleaving": "in_interleaving"}
_COUNTER = 'recommender_log_lists_total{result="%s"} '


def begin(root: Path, kind: str) -> None:
    """Put every user into an experiment of two arms that the one deployed model answers."""
    arms = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="svd")}
    definition = ExperimentDefinition(name=kind, kind=kind, variants=arms)  # type: ignore[arg-type]
    start_experiment(
        root, RunningExperiment(definition=definition, started_us=0, users_per_arm=1, variances=(1.0, 1.0))
    )


def measure(root: Path, streaming: StreamingSettings, topic: str, share: float, seconds: float) -> dict[str, Any]:
    """One service: every user once, then random users; and what became of the lists."""
    admin = AdminClient(streaming.client_properties)
    admin.create_topics([NewTopic(topic, 2)])[topic].result(20)
    paths = user_paths(MOVIELENS_1M)
    settings = {"RECOMMENDER__RECOMMENDATION_LOG__SHARE": str(share), "RECOMMENDER__RECOMMENDATION_LOG__TOPIC": topic}
    with running_service(root, streaming.kafka_bootstrap_servers, settings) as service:
        cold: Summary = service.load(paths, connections=CONNECTIONS)
        before = _cpu_seconds(service)
        warm: Summary = service.load(paths, connections=CONNECTIONS, seconds=seconds)
        cpu_us = (_cpu_seconds(service) - before) * 1e6 / warm.requests
        written, dropped = (_counter(service, result) for result in ("written", "dropped"))
    stored = sum(mark.high - mark.low for mark in watermarks(streaming, topic).values())
    counts = {"written": written, "dropped": dropped, "in_the_topic": stored}
    return {"cold": cold, "warm": warm, "cpu_us_per_request": round(cpu_us, 1), **counts}


def _cpu_seconds(service: Service) -> float:
    times = service.process.cpu_times()
    return float(times.user + times.system)


def _counter(service: Service, result: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return int(float(text.partition(_COUNTER % result)[2].partition("\n")[0] or 0))


def main() -> None:
    """Measure all services in turn and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each warm run (default: 4)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of every service (default: 2)")
    options = parser.parse_args()
    jars = PROJECT / ".local" / "jars"
    resolve_jars(jars, PROJECT / "requirements" / "jars.lock")
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka", 0, jars=jars / "kafka") as broker:
        streaming = StreamingSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
        roots = {label: Path(name) / label for label in (*SHARES, *KINDS.values())}
        model = synthetic_model(MOVIELENS_1M)
        for root in roots.values():
            publish(root, model)
        for kind, label in KINDS.items():
            begin(roots[label], kind)
        for turn in range(options.rounds):
            for label, root in roots.items():
                share = SHARES.get(label, 0.0)
                runs.setdefault(label, []).append(measure(root, streaming, f"{label}-{turn}", share, options.seconds))
    figures = {
        f"requests_per_s_{label}": max(one["warm"].requests_per_s for one in of_label)
        for label, of_label in runs.items()
    }
    figures |= {f"cpu_us_per_request_{label}": min(one["cpu_us_per_request"] for one in runs[label]) for label in runs}
    lost = sum(one["written"] - one["dropped"] - one["in_the_topic"] for of_label in runs.values() for one in of_label)
    result = {"benchmark": "recommendation_log", **figures, "lists_neither_stored_nor_counted": lost, "runs": runs}
    print(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
