"""A real Kafka broker (KRaft, one node) on this machine, without containers."""

import fcntl
import os
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException

from recommender_assets.ingestion.kafka_admin import admin_client
from recommender_assets.local.prerequisites import java_command
from recommender_serving.engine.config import StreamingSettings

HOST = "127.0.0.1"
KAFKA_JARS = Path(".local/jars/kafka")
_JVM_OPTIONS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_LOG4J_FILE = Path(__file__).with_name("log4j2.properties")
_FIXED_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.retention.ms": "-1",
}


class BrokerError(RuntimeError):
    """The broker did not start; the message holds the end of its log."""


class LocalBroker:
    """One Kafka broker with its data, configuration and log below `directory`.

    Starting it again on the same directory brings its topics back. Use as a context manager or call `stop`.

    Args:
        directory: where data, `server.properties` and `broker.log` are kept.
        port: the wanted port; a free one is used when something else listens there.
        jars: folder with the broker's jars (`recommender_assets.local.jars`).
    """

    def __init__(self, directory: Path, port: int = 9092, jars: Path = KAFKA_JARS) -> None:
        self.directory = directory.absolute()
        self.wanted_port = port
        self.port = port
        self._class_path = f"{jars.absolute()}/*"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """Where the broker's output goes."""
        return self.directory / "broker.log"

    def start(self, timeout_s: float = 60.0) -> str:
        """Start the broker, wait until it answers, and return its bootstrap servers.

        Raises:
            BrokerError: it ended, did not answer within `timeout_s` seconds, or one runs on the directory.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w", encoding="utf-8") as lock, self.log_file.open("ab") as log:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BrokerError(f"a broker already runs on {self.directory}") from None
            self._launch(lock, log)
        try:
            self._wait_until_ready(time.monotonic() + timeout_s)
        except BaseException:
            self.stop()
            raise
        return self.bootstrap_servers

    def stop(self, timeout_s: float = 20.0) -> None:
        """Shut the broker down cleanly; kill it when it has not ended after `timeout_s` seconds."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, lock: IO[str], log: IO[bytes]) -> None:
        self.port = free_port(self.wanted_port)
        properties = self._write_properties()
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(properties)
        # The broker inherits the lock and so holds it for as long as it lives, even if this process is killed.
        self._process = subprocess.Popen(
            self._java("kafka.Kafka", str(properties)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )

    def _write_properties(self) -> Path:
        controller = f"{HOST}:{free_port(0)}"
        properties = _FIXED_PROPERTIES | {
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.directory / "data"),
        }
        path = self.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), encoding="utf-8")
        return path

    def _format(self, properties: Path) -> None:
        command = self._java("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(properties))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"formatting {self.directory} failed:\n{done.stdout}{done.stderr}")

    def _java(self, *arguments: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={_LOG4J_FILE}"
        return [java_command() or "java", *_JVM_OPTIONS, log4j, "-cp", self._class_path, *arguments]

    def _wait_until_ready(self, deadline: float) -> None:
        while not broker_answers(StreamingSettings(kafka_bootstrap_servers=self.bootstrap_servers)):
            if self._process is None or self._process.poll() is not None:
                raise BrokerError(f"the Kafka broker ended while starting; {self._log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(f"the Kafka broker does not answer on {self.bootstrap_servers}; {self._log_tail()}")
            time.sleep(0.1)

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-500:]
        telling = [line for line in lines if " INFO " not in line and not line.startswith("\tat ")][-15:]
        return "\n".join([f"end of {self.log_file}:", *telling])


def broker_answers(streaming: StreamingSettings) -> bool:
    """Whether a broker can be talked to at the first of the addresses `host:port[,...]`."""
    host, _, port = streaming.kafka_bootstrap_servers.partition(",")[0].rpartition(":")
    # librdkafka logs each refused connection, so it is asked only once the port accepts.
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    try:
        client = admin_client(streaming)
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def free_port(wanted: int) -> int:
    """`wanted` if nothing listens there (and it is not 0), else a port the system chose."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BrokerError(f"no free port on {HOST}")


def _cluster_id() -> str:
    return uuid.uuid4().hex[:22]
