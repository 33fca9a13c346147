"""A steady stream of events, and nobody's hand: ingests, trains, promotes, refuses, swaps, and rolls back."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import httpx
import msgspec
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from recommender_assets.definitions import defs
from recommender_assets.defs.automation import kafka_offset_sensor, retraining_sensor
from recommender_assets.defs.champion.sensors import live_guardrail_sensor
from recommender_assets.local.replay import send_ratings
from recommender_assets.promotion.champion_checks import CHAMPION_CHECKS
from recommender_assets.promotion.decisions import DecisionRow, read_decisions
from recommender_assets.settings import (
    IngestionSettings,
    LiveGuardrailSettings,
    ModelsSettings,
    NmfSettings,
    Settings,
    SvdSettings,
)
from recommender_serving.engine.champion_pointer import read_pointer
from tests.conftest import PROJECT
from tests.end_to_end.test_live_loop import is_ready, popular_ratings
from tests.waiting import wait_until

FAIR = ModelsSettings(svd=SvdSettings(factors=8, epochs=4), nmf=NmfSettings(factors=4, iterations=2))
GOOD = ModelsSettings(svd=SvdSettings(factors=16), nmf=NmfSettings(factors=8))
BAD = ModelsSettings(
    svd=SvdSettings(factors=2, epochs=1, ranking_iterations=1),
    nmf=NmfSettings(factors=2, iterations=1, ranking_iterations=1),
)
EVENTS_PER_SECOND = 40.0
RETRAIN_AFTER = 100
LONGEST = 180.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Rules small enough for a test, and a service on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    live = LiveGuardrailSettings(popular_share=0.5, p99_milliseconds=1e6, minimum_requests=100, grace_minutes=0)
    return msgspec.structs.replace(
        settings,
        api=msgspec.structs.replace(settings.api, port=port),
        ingestion=IngestionSettings(after_records=RETRAIN_AFTER),
        training=msgspec.structs.replace(settings.training, retrain_after_interactions=RETRAIN_AFTER),
        promotion=msgspec.structs.replace(settings.promotion, live_guardrails=live),
    )


class Daemon:
    """Ticks the sensors in turn and runs what they ask for, one run at a time, as Dagster's daemon would.

    Attributes:
        settings: replaced by the test when somebody would change the configuration.
        runs: name and seconds of every run.
    """

    SENSORS = (live_guardrail_sensor, kafka_offset_sensor, retraining_sensor)

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.runs: list[tuple[str, float]] = []
        self._instance = instance
        self._cursors: dict[str, str | None] = {}

    def tick(self) -> None:
        """One tick of every sensor."""
        resources = {"settings": self.settings}
        for sensor in self.SENSORS:
            cursor = self._cursors.get(sensor.name)
            with dg.build_sensor_context(self._instance, cursor=cursor, resources=resources) as context:
                result = sensor.evaluate_tick(context)
            self._cursors[sensor.name] = result.cursor
            for request in result.run_requests or []:
                self._run(request.job_name or sensor.job_name, request, resources)

    def until(self, kind: str, count: int, seconds: float) -> DecisionRow:
        """Tick until there are this many decisions, the last of them of this kind."""
        deadline = time.monotonic() + seconds
        while len(rows := read_decisions(self.settings.root)) < count:
            assert time.monotonic() < deadline, f"no {kind} within {seconds} s, runs: {self.runs}"
            self.tick()
        assert (len(rows), rows[-1].kind) == (count, kind), rows[-1].reason
        return rows[-1]

    def _run(self, job: str | None, request: dg.RunRequest, resources: dict[str, Any]) -> None:
        assert job is not None
        started = time.monotonic()
        result = (
            defs()
            .resolve_job_def(job)
            .execute_in_process(
                run_config=request.run_config, instance=self._instance, resources=resources, tags=request.tags
            )
        )
        assert result.success
        self.runs.append((job, round(time.monotonic() - started, 1)))


class Traffic:
    """Requests of two kinds of users, answered or not, until it is stopped."""

    def __init__(self, address: str, users: list[str]) -> None:
        self.statuses: Counter[int] = Counter()
        self.strangers = threading.Event()
        self._users = users
        self._client = httpx.Client(base_url=address, timeout=10)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)
        self._client.close()

    def version(self) -> str:
        """What is served now."""
        version: str = self._client.get(f"/recommendations/user/{self._users[0]}").json()["model"]["version"]
        return version

    def _ask(self) -> None:
        number = 0
        while not self._stopping.wait(0.002 if self.strangers.is_set() else 0.02):
            user = f"stranger-{number}" if self.strangers.is_set() else self._users[number % len(self._users)]
            self.statuses[self._client.get(f"/recommendations/user/{user}").status_code] += 1
            number += 1


@contextmanager
def service_process(settings: Settings) -> Iterator[str]:
    """The real service as a process; it may not have a champion yet."""
    environ = {
        **os.environ,
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "RECOMMENDER__STORAGE__ROOT": str(settings.root),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": settings.streaming.kafka_bootstrap_servers,
        "RECOMMENDER__STREAMING__TOPIC": settings.streaming.topic,
        "RECOMMENDER__API__PORT": str(settings.api.port),
    }
    process = subprocess.Popen([sys.executable, "-m", "recommender_serving"], env=environ, cwd=PROJECT)
    try:
        yield settings.service_addresses[0]
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def steady_stream(settings: Settings, rows: pa.Table) -> Iterator[None]:
    """Events at a steady rate, beginning anew with the first, which are duplicates then."""
    stopping = threading.Event()

    def send() -> None:
        at, seconds = 0, 2.0
        while not stopping.is_set():
            chunk = rows.slice(at % rows.num_rows, int(EVENTS_PER_SECOND * seconds))
            send_ratings(settings, chunk, EVENTS_PER_SECOND, None)
            at += chunk.num_rows

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(30)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::dagster.BetaWarning"
)
def test_the_system_retrains_promotes_refuses_and_rolls_back_by_itself(
    settings: Settings, topic: str, spark: SparkSession, record_property: Callable[[str, object], None]
) -> None:
    ratings = popular_ratings()
    known, later = ratings.slice(0, ratings.num_rows // 2), ratings.slice(ratings.num_rows // 2)
    users = known["user_id"].unique().to_pylist()[:20]
    started = time.monotonic()
    send_ratings(settings, known, None, None)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        service_process(settings) as address,
        httpx.Client(base_url=address) as client,
    ):
        daemon = Daemon(msgspec.structs.replace(settings, models=FAIR), instance)
        with steady_stream(settings, later):
            first = daemon.until("promotion", 1, LONGEST)
            wait_until(lambda: is_ready(client), 20, "the service has the first champion")
            with Traffic(address, users) as traffic:
                daemon.settings = msgspec.structs.replace(settings, models=GOOD)
                second = daemon.until("promotion", 2, LONGEST)
                wait_until(lambda: traffic.version() == second.champion, 5, "the service follows the promotion")

                daemon.settings = msgspec.structs.replace(settings, models=BAD)
                refusal = daemon.until("refusal", 3, LONGEST)
                assert traffic.version() == second.champion

                rarely = msgspec.structs.replace(settings.training, retrain_after_interactions=10**6)
                daemon.settings = msgspec.structs.replace(settings, training=rarely)
                daemon.tick()  # the window of guarded requests ends here
                traffic.strangers.set()
                rollback = daemon.until("live_rollback", 4, LONGEST)
                wait_until(lambda: traffic.version() == first.champion, 5, "the service follows the rollback")
        assert set(traffic.statuses) == {httpx.codes.OK}, traffic.statuses

    assert (first.predecessor, second.predecessor) == (None, first.champion)
    assert "beats champion" in second.reason
    assert refusal.champion == second.champion
    assert all(contender.objections for contender in refusal.contenders if contender.role == "candidate")
    assert (rollback.champion, rollback.predecessor) == (first.champion, second.champion)
    assert rollback.reason.startswith("share of popular lists is ")
    pointer = read_pointer(settings.root)
    assert pointer is not None
    assert pointer.version == first.champion
    facts = [check(settings) for check in CHAMPION_CHECKS]
    assert all(fact.passed for fact in facts), facts
    jobs = [name for name, _ in daemon.runs]
    assert jobs[0] == "recommendation_job"
    assert jobs.count("rollback_job") == 1
    assert {"ingest_job", "train_job"} <= set(jobs)
    record_property("seconds", round(time.monotonic() - started, 1))
    record_property("runs", daemon.runs)
    record_property("requests", sum(traffic.statuses.values()))
