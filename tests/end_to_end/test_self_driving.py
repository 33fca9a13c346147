"""A steady stream of events, and nobody's hand: Dagster's daemon ingests, trains, promotes, refuses and rolls back."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition

from recommender_assets.fact import Fact
from recommender_assets.ingestion import sources
from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.local.broker import free_port
from recommender_assets.local.processes import Processes
from recommender_assets.local.replay import send_ratings
from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.champion_checks import CHAMPION_CHECKS
from recommender_assets.promotion.decisions import DecisionRow, Kind, read_decisions
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.factor_model import read_model
from tests.dagster_processes import PROJECT, DagsterProcesses
from tests.steady_traffic import Traffic, steady_stream
from tests.waiting import wait_until

FAIR = {"svd": {"factors": 8, "epochs": 4}, "nmf": {"factors": 4, "iterations": 2}}
GOOD = {"svd": {"factors": 16}, "nmf": {"factors": 8}}
BAD = {
    "svd": {"factors": 2, "epochs": 1, "ranking_iterations": 1},
    "nmf": {"factors": 2, "iterations": 1, "ranking_iterations": 1},
}
USERS, FILMS = 150, 200
EVENTS_PER_SECOND = 25.0
NEW_EVENTS = 150  # that start ingestion, and training
LONGEST = 300.0


class System:
    """Broker, tables, code location, daemon and service, and the configuration file that all of them read.

    Attributes:
        root: of the tables.
        service: client of the running service.
    """

    def __init__(self, settings: Settings, home: Path, processes: Processes) -> None:
        self.settings = settings
        self.root = settings.root
        self._config = home / "config.yaml"
        self._processes = processes
        self.configure_models(FAIR)
        port = free_port(0)
        environ = {
            "RECOMMENDER_CONFIG": self._config,
            "RECOMMENDER__STORAGE__ROOT": settings.root,
            "RECOMMENDER__SPARK__JARS_DIRECTORY": settings.spark.jars_directory,
            "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": settings.streaming.kafka_bootstrap_servers,
            "RECOMMENDER__STREAMING__TOPIC": settings.streaming.topic,
            "RECOMMENDER__RECOMMENDATION_LOG__SHARE": 0,
            "RECOMMENDER__INGESTION__AFTER_RECORDS": NEW_EVENTS,
            "RECOMMENDER__TRAINING__RETRAIN_AFTER_INTERACTIONS": NEW_EVENTS,
            "RECOMMENDER__DAGSTER__SENSOR_INTERVAL_SECONDS": 1,
            "RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__POPULAR_SHARE": 0.5,
            "RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__P99_MILLISECONDS": 1e6,
            "RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__MINIMUM_REQUESTS": 100,
            "RECOMMENDER__PROMOTION__LIVE_GUARDRAILS__GRACE_MINUTES": 0,
            "RECOMMENDER__API__PORT": port,
        }
        self._environ = {name: str(value) for name, value in environ.items()}
        self.service = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        DagsterProcesses(processes, home, self._environ).start_daemon()
        self._instance = dg.DagsterInstance.from_config(str(home))

    def configure_models(self, models: dict[str, Any]) -> None:
        """Write other hyper-parameters into the configuration file; the next run reads them."""
        config = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8")) | {"models": models}
        self._config.with_suffix(".new").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._config.with_suffix(".new").replace(self._config)

    def start_service(self) -> None:
        """Start the service, and wait until it has loaded the champion."""
        self._processes.start("service", [sys.executable, "-m", "recommender_serving"], self._environ)
        wait_until(self._is_ready, 60, "the service has the first champion")

    def decision(self, kind: Kind) -> DecisionRow:
        """Wait for the next decision; it is of this kind."""
        count = len(self.decisions()) + 1
        wait_until(lambda: self.goes_on() and len(self.decisions()) >= count, LONGEST, lambda: f"{kind}: {self.runs()}")
        row = self.decisions()[count - 1]
        assert row.kind == kind, row.reason
        return row

    def decisions(self) -> tuple[DecisionRow, ...]:
        """The decision table."""
        return read_decisions(self.root)

    def recommendations(self, user: str) -> dict[str, Any]:
        """The service's answer for a user."""
        answer = self.service.get(f"/recommendations/user/{user}")
        assert answer.status_code == httpx.codes.OK, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def follows(self, row: DecisionRow, user: str) -> float:
        """Wait until the service answers by the decision's champion; returns the seconds since the decision."""
        wait_until(
            lambda: self.recommendations(user)["model"]["version"] == row.champion,
            30,
            f"the service follows {row.kind}",
        )
        return time.time() - row.decided_at.timestamp()

    def runs(self) -> list[tuple[str, str, float, float]]:
        """Job, status, seconds from the request to the start, and seconds of work of every run, oldest first."""
        records = self._instance.get_run_records(ascending=True)
        return [
            (
                record.dagster_run.job_name,
                record.dagster_run.status.value,
                round((record.start_time or time.time()) - record.create_timestamp.timestamp(), 1),
                round((record.end_time or time.time()) - (record.start_time or time.time()), 1),
            )
            for record in records
        ]

    def close(self) -> None:
        """Give back what this process has opened."""
        self.service.close()
        self._instance.dispose()

    def goes_on(self) -> bool:
        """Fail if a process has ended or a run has failed."""
        self._processes.require_alive()
        failed = self._instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        assert not failed, [self._instance.get_run_stats(run.run_id) for run in failed]
        return True

    def _is_ready(self) -> bool:
        self._processes.require_alive()
        try:
            return self.service.get("/health/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@pytest.fixture
def system(settings: Settings, topic: str, tmp_path: Path) -> Iterator[System]:
    create_tables(settings.root)
    with Processes(tmp_path / "process_logs") as processes:
        running = System(settings, tmp_path, processes)
        yield running
        running.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_system_retrains_promotes_refuses_and_rolls_back_by_itself(
    system: System, record_property: Callable[[str, object], None]
) -> None:
    ratings = popular_ratings()
    known, later = ratings.slice(0, ratings.num_rows // 2), ratings.slice(ratings.num_rows // 2)
    users = known["user_id"].unique().to_pylist()[:20]
    user = users[0]
    started = time.monotonic()
    send_ratings(system.settings, known, None, None)
    with steady_stream(system.settings, later, EVENTS_PER_SECOND):
        first = system.decision("promotion")
        system.configure_models(GOOD)
        system.start_service()
        with Traffic(str(system.service.base_url), users, per_second=50) as traffic:
            rated = rate_what_is_recommended(system, user)
            second = system.decision("promotion")
            system.configure_models(BAD)
            follows_promotion = system.follows(second, user)
            assert rated not in items(system.recommendations(user)), "the new champion knows, or is told again"
            refusal = system.decision("refusal")
            assert trained_factors(system, refusal) == {2}, "the planted ones"
            assert system.recommendations(user)["model"]["version"] == second.champion

            traffic.strangers.set()
            rollback = rolled_back(system)
            follows_rollback = system.follows(rollback, user)

    assert set(traffic.statuses) == {httpx.codes.OK}, traffic.statuses
    assert (first.predecessor, second.predecessor) == (None, first.champion)
    assert set(first.deployed) == {"svd", "nmf"}
    assert "beats champion" in second.reason
    assert refusal.champion == second.champion
    assert all(contender.objections for contender in refusal.contenders if contender.role == "candidate")
    assert (rollback.champion, rollback.predecessor) == (first.champion, second.champion)
    assert rollback.reason.startswith("share of popular lists is ")
    pointer = read_pointer(system.root)
    assert pointer is not None
    assert pointer.version == first.champion
    wait_until(lambda: not wrong_facts(system.settings), 60, lambda: wrong_facts(system.settings))  # MLflow comes last
    runs = system.runs()
    jobs = [job for job, *_ in runs]
    assert jobs[0] == "recommendation_job"
    assert jobs.count("rollback_job") == 1
    assert {"ingest_job", "train_job"} <= set(jobs)
    figures = event_figures(system.settings, first, second, known.num_rows) | {
        "promotion_to_served": follows_promotion,
        "rollback_to_served": follows_rollback,
        "slowest_answer": traffic.slowest,
        "requests": sum(traffic.statuses.values()),
        "seconds": time.monotonic() - started,
    }
    figures = {name: round(value, 2) for name, value in figures.items()}
    sys.stdout.write(json.dumps({**figures, "runs": runs}) + "\n")
    record_property("figures", figures)
    record_property("runs", runs)


def wrong_facts(settings: Settings) -> list[Fact]:
    return [fact for check in CHAMPION_CHECKS if not (fact := check(settings)).passed]


def popular_ratings() -> pa.Table:
    """The ratings of the most active users of the most rated films."""
    ratings = sources.ratings()
    users, films = most_frequent(ratings["user_id"], USERS), most_frequent(ratings["item_id"], FILMS)
    return ratings.filter(pc.and_(pc.is_in(ratings["user_id"], users), pc.is_in(ratings["item_id"], films)))


def most_frequent(column: pa.ChunkedArray, count: int) -> pa.Array:
    ranked = column.value_counts().sort(order="descending", by="counts")
    return ranked.field("values").slice(0, count)


def rate_what_is_recommended(system: System, user: str) -> str:
    """Rate the first item of a user's list, and wait until it has left the list; returns the item."""
    rated = items(system.recommendations(user))[0]
    now = pa.array([time.time_ns() // 1_000], pa.timestamp("us", tz="UTC"))
    columns = {"user_id": [user], "item_id": [rated], "rating": pa.array([5.0], pa.float32()), "timestamp": now}
    send_ratings(system.settings, pa.table(columns), None, None)
    wait_until(lambda: rated not in items(system.recommendations(user)), 20, "the rated film leaves the list")
    assert system.recommendations(user)["source"] == "folded_in"
    return rated


def items(answer: dict[str, Any]) -> list[str]:
    return [entry["item_id"] for entry in answer["recommendations"]]


def trained_factors(system: System, row: DecisionRow) -> set[int]:
    """Number of factors of the candidates of a contest."""
    candidates = [contender.version for contender in row.contenders if contender.role == "candidate"]
    models = [read_model(candidate_directory(system.root, version)) for version in candidates]
    return {model.ranking.item_factors.shape[1] for model in models}


def rolled_back(system: System) -> DecisionRow:
    """Wait for the rollback; the planted models may have been refused again before it."""

    def found() -> list[DecisionRow]:
        return [row for row in system.decisions() if row.kind == "live_rollback"]

    wait_until(lambda: system.goes_on() and found(), LONGEST, lambda: f"a rollback: {system.runs()}")
    return found()[0]


def event_figures(settings: Settings, first: DecisionRow, second: DecisionRow, sent_before: int) -> dict[str, float]:
    """Seconds from the broker's time of an event until it is in its table, and until the champion has learned it."""
    ledger = read_table(settings.root, "ingestion_ledger", ["from_offset", "to_offset", "committed_at"]).to_pylist()
    appended = append_times(settings, max(row["to_offset"] for row in ledger))
    to_table = [
        row["committed_at"].timestamp() - appended[offset]
        for row in ledger
        for offset in range(max(row["from_offset"], sent_before), row["to_offset"])
    ]
    positions = [row.position.next_offsets["0"] for row in (first, second) if row.position]
    oldest, newest = appended[positions[0]], appended[positions[1] - 1]
    return {
        "event_to_table_median": statistics.median(to_table),
        "event_to_table_longest": max(to_table),
        "oldest_new_event_to_champion": second.decided_at.timestamp() - oldest,
        "newest_event_to_champion": second.decided_at.timestamp() - newest,
    }


def append_times(settings: Settings, count: int) -> list[float]:
    """The broker's time of the first records of the one partition, in seconds since the epoch."""
    consumer = Consumer(settings.streaming.client_properties | {"group.id": "figures", "enable.auto.commit": False})
    consumer.assign([TopicPartition(settings.streaming.topic, 0, 0)])
    times: list[float] = []
    while len(times) < count:
        times += [message.timestamp()[1] / 1e3 for message in consumer.consume(1_000, 1.0)]
    consumer.close()
    return times[:count]
