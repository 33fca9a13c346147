"""The parts that fault tests break: a broker, `recommender stream` and runs of the asset, as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from recommender_assets.ingestion.ledger import ledger_position
from recommender_assets.ingestion.tables import table_version
from recommender_assets.ingestion.topic_position import watermarks
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings, load_settings

PROJECT = Path(__file__).parents[2]
INTERVAL = "200 milliseconds"


class System:
    """Everything below one folder; `close` ends what still runs.

    Args:
        folder: for tables, broker and logs.
        partitions: of the topic.
        root: of the tables; None = below the folder.
    """

    def __init__(self, folder: Path, partitions: int = 2, root: Path | None = None) -> None:
        self.folder = folder
        self.broker = LocalBroker(folder / "kafka", port=0, jars=PROJECT / ".local" / "jars" / "kafka")
        bootstrap = self.broker.start()
        self.broker.wanted_port = self.broker.port  # clients find it again after a restart
        self.environ = {
            "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
            "RECOMMENDER__STORAGE__ROOT": str(root or folder / "data"),
            "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "RECOMMENDER__STREAMING__TOPIC": "faults",
            "RECOMMENDER__STREAMING__PARTITIONS": str(partitions),
            "RECOMMENDER__STREAMING__BATCH_INTERVAL": INTERVAL,
            "RECOMMENDER__SPARK__MASTER": "local[2]",
            "RECOMMENDER__SPARK__JARS_DIRECTORY": str(PROJECT / ".local" / "jars" / "spark"),
            "DAGSTER_HOME": str(folder / "dagster"),
            # These processes live for seconds: the optimising compiler costs a third of their processor time.
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
        }
        self.settings: Settings = load_settings(PROJECT / "config.yaml", self.environ)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "stream.log"
        create_topic(self.settings)

    def stream(self) -> None:
        """Start `recommender stream`."""
        self._start([sys.executable, "-m", "recommender_assets.cli", "stream"])

    def run_asset(self) -> None:
        """Start a Dagster run of the `interactions` asset and its checks."""
        (self.folder / "dagster").mkdir(exist_ok=True)
        module = "recommender_assets.definitions"
        self._start(
            [
                str(Path(sys.executable).with_name("dagster")),
                "asset",
                "materialize",
                "--select",
                "interactions",
                "-m",
                module,
            ]
        )

    def kill(self) -> None:
        """SIGKILL for the process that runs and all it started, Spark's JVM and workers among them."""
        process = self._process
        assert process is not None
        for victim in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait()
        self._process = None

    @property
    def is_running(self) -> bool:
        """Whether the process that was started last still runs."""
        return self._process is not None and self._process.poll() is None

    def forget_ended(self) -> None:
        """After a process that ended by itself, as one whose disk is full may."""
        assert not self.is_running, "the process still runs"
        self._process = None

    def stop(self) -> int:
        """SIGTERM to the process that runs, as an operator would; returns its exit status."""
        process, self._process = self._process, None
        assert process is not None
        process.terminate()
        return process.wait(120)

    def kill_broker(self) -> None:
        """SIGKILL for the broker."""
        process = self.broker._process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart_broker(self) -> None:
        """Start the broker again on its data and port."""
        self.broker.start(120)

    def drain(self, timeout_s: float = 240) -> None:
        """Wait until everything in the topic is in the ledger."""
        self.wait_until(lambda: self.unread() == 0, timeout_s)

    def unread(self) -> int:
        """Offsets of the topic that the ledger does not cover."""
        streaming, root = self.settings.streaming, self.settings.root
        has_ledger = table_version(root, "ingestion_ledger") is not None
        done = ledger_position(root, streaming.topic).next_offsets if has_ledger else {}
        marks = watermarks(streaming, streaming.topic)
        return sum(mark.high - done.get(partition, 0) for partition, mark in marks.items())

    def read_up_to(self) -> int:
        """Sum of the ledger's positions."""
        if table_version(self.settings.root, "ingestion_ledger") is None:
            return 0
        return sum(ledger_position(self.settings.root, self.settings.streaming.topic).next_offsets.values())

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 240) -> None:
        """Wait for a condition, while the process must not end by itself."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            ended = self._process is not None and self._process.poll() is not None
            assert not ended, f"the process ended: {self._tail()}"
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {self._tail()}"
            time.sleep(0.1)

    def close(self) -> None:
        """End everything."""
        if self._process is not None:
            self.kill()
        self.broker.stop()

    def _start(self, command: list[str]) -> None:
        assert self._process is None, "one at a time"
        with self.log.open("ab") as log:
            environ = {**os.environ, **self.environ, "PYTHONPATH": str(PROJECT)}
            self._process = subprocess.Popen(
                command, env=environ, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-20:])
