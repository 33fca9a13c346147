"""The real service, on topics and a storage root of the simulation's own, beside whatever else runs here."""

import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recommender_assets.ingestion.tables import create_tables
from recommender_assets.local.broker import LocalBroker, broker_answers, free_port
from recommender_assets.local.processes import Processes
from recommender_assets.local.service_client import ServiceClient, ServiceError
from recommender_assets.local.topic import create_log_topic, create_topic, delete_topics
from recommender_assets.settings import Settings

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class RunningSystem:
    """A service that answers.

    Attributes:
        settings: with the simulation's own storage root and topics.
        address: of the service.
        service: its process.
    """

    settings: Settings
    address: str
    service: "subprocess.Popen[bytes]"

    def wait_for_experiment(self, name: str) -> None:
        """Wait until the service has seen that an experiment runs.

        Raises:
            ServiceError: it has not within a reasonable time.
        """
        with ServiceClient(self.address) as service:
            _wait_until(lambda: service.is_running(name), f"experiment {name} did not run")

    def stop_service(self) -> None:
        """End the service, which sends to Kafka what it still holds; the broker stays."""
        self.service.terminate()
        self.service.wait(_TIMEOUT_SECONDS)


@contextmanager
def running_system(settings: Settings, root: Path, name: str) -> Iterator[RunningSystem]:
    """Broker (the configured one if it runs, else one of the simulation's own), topics, tables and service.

    Args:
        settings: the project's.
        root: the simulation's storage root, with models.
        name: of the experiment; the topics' names begin with it.
    """
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(root / "logs"))
        servers = settings.streaming.kafka_bootstrap_servers
        if not broker_answers(settings.streaming):
            stack.callback(shutil.rmtree, root / "kafka", ignore_errors=True)
            servers = stack.enter_context(LocalBroker(root / "kafka", port=0)).bootstrap_servers
        own = _own_settings(settings, root, servers, f"experiment-{name}-{uuid.uuid4().hex[:8]}")
        create_tables(root)
        stack.callback(delete_topics, own.streaming, (own.streaming.topic, own.recommendation_log.topic))
        create_topic(own)
        create_log_topic(own)
        port = free_port(0)
        process = processes.start("service", [sys.executable, "-m", "recommender_serving"], _environment(own, port))
        address = f"http://127.0.0.1:{port}"
        with ServiceClient(address) as service:
            _wait_until(lambda: _is_ready(service, processes), "the service was not ready")
        yield RunningSystem(own, address, process)


def _is_ready(service: ServiceClient, processes: Processes) -> bool:
    processes.require_alive()
    return service.is_ready()


def _own_settings(settings: Settings, root: Path, servers: str, topic: str) -> Settings:
    replace = msgspec.structs.replace
    return replace(
        settings,
        storage=replace(settings.storage, root=str(root)),
        streaming=replace(settings.streaming, kafka_bootstrap_servers=servers, topic=f"{topic}-events"),
        recommendation_log=replace(settings.recommendation_log, topic=f"{topic}-lists"),
    )


def _environment(settings: Settings, port: int) -> dict[str, str]:
    """What makes a service of this configuration the simulation's: where things are; nobody else is to be let in."""
    return {
        "RECOMMENDER__STORAGE__ROOT": str(settings.root),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": settings.streaming.kafka_bootstrap_servers,
        "RECOMMENDER__STREAMING__TOPIC": settings.streaming.topic,
        "RECOMMENDER__RECOMMENDATION_LOG__TOPIC": settings.recommendation_log.topic,
        "RECOMMENDER__API__HOST": "127.0.0.1",
        "RECOMMENDER__API__PORT": str(port),
        "RECOMMENDER__ACCESS__KEYS": "[]",
        "RECOMMENDER__ACCESS__KEYS_FILE": '""',
        "RECOMMENDER__ACCESS__REQUESTS_PER_SECOND": "0",
        "RECOMMENDER__ACCESS__MAX_TURN_MILLISECONDS": "10000",
        "RECOMMENDER__LOGGING__LEVEL": "warning",
    }


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise ServiceError(f"{otherwise} within {_TIMEOUT_SECONDS:.0f} s")
        time.sleep(0.1)
