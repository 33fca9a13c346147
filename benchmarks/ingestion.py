"""Events per second from Kafka into Delta, against a plain Spark append of the same topic in the same run.

Run with `python -m benchmarks.ingestion --events 3000000`. The last line is one JSON object: rates from the start of
the query to the last commit, what was written, seconds at 1, 3 and 10 million events as far as the run goes, and the
core seconds that each million took, by process.
"""

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
import numpy as np
import psutil
from confluent_kafka import Producer
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.spark_session import start_session
from recommender_assets.ingestion.streaming_query import BatchReport, begin, end_query, start_query
from recommender_assets.ingestion.tables import table_path
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings, load_settings

USERS, ITEMS = 50_000, 20_000
FIRST_TIME = 1_700_000_000
MILESTONES = (1_000_000, 3_000_000, 10_000_000)
WARM_UP_EVENTS = 200_000
EVENT_TABLES: tuple[TableName, ...] = ("interactions", "rejected_events")


@dataclass(frozen=True)
class Measured:
    """One ingestion: seconds and events at the end of each micro-batch, and core seconds by process."""

    seconds: list[float]
    events: list[int]
    rejected: int
    core_seconds: dict[str, float]


@click.command()
@click.option("--events", type=click.IntRange(min=1), default=3_000_000, show_default=True)
@click.option("--rejected-share", type=click.FloatRange(0, 1), default=0.01, show_default=True)
@click.option("--duplicate-share", type=click.FloatRange(0, 1), default=0.0, show_default=True)
def main(events: int, rejected_share: float, duplicate_share: float) -> None:
    """Fill a topic, ingest it, append it plainly, and print the rates."""
    with tempfile.TemporaryDirectory() as folder, LocalBroker(Path(folder) / "kafka", port=0) as broker:
        settings = settings_at(Path(folder), broker.bootstrap_servers)
        create_topic(settings)
        fill_topic(settings, events, rejected_share, duplicate_share, seed=0)
        started = time.perf_counter()
        spark = start_session(settings, **settings.spark.stream_conf)
        session_s = time.perf_counter() - started
        warm_up(spark, settings)
        measured = ingest(spark, settings, events)
        files = {name: DeltaTable(table_path(settings.root, name)).get_add_actions() for name in EVENT_TABLES}
        plain_s = plain_append(spark, settings)
        spark.stop()
    total_s = measured.seconds[-1]
    result = {
        "benchmark": "ingestion",
        "events": events,
        "cores": os.cpu_count(),
        "session_s": round(session_s, 1),
        "events_per_s": round(events / total_s),
        "sustained_events_per_s": sustained(measured),
        "plain_append_events_per_s": round(events / plain_s),
        "ratio": round(plain_s / total_s, 2),
        "rejected_share": round(measured.rejected / events, 4),
        "files": {name: len(actions) for name, actions in files.items()},
        "bytes": {name: sum(actions["size_bytes"].to_pylist()) for name, actions in files.items()},
        "seconds_at": milestones(measured),
        "core_seconds_per_million": {
            name: round(seconds / events * 1e6, 2) for name, seconds in measured.core_seconds.items()
        },
    }
    click.echo(json.dumps(result))


def settings_at(folder: Path, bootstrap: str) -> Settings:
    """The shipped settings with tables and broker of the benchmark's own."""
    settings = load_settings(environ={})
    return msgspec.structs.replace(
        settings,
        storage=msgspec.structs.replace(settings.storage, root=str(folder / "data")),
        streaming=msgspec.structs.replace(settings.streaming, kafka_bootstrap_servers=bootstrap, topic="benchmark"),
    )


def fill_topic(settings: Settings, events: int, rejected_share: float, duplicate_share: float, seed: int) -> None:
    """Send random ratings of about one day, without event ids: some of them broken, some sent twice."""
    random = np.random.default_rng(seed)
    users, items = random.integers(USERS, size=events), random.integers(ITEMS, size=events)
    ratings, times = random.integers(1, 11, size=events) / 2, FIRST_TIME + random.integers(86_400, size=events)
    ratings[random.random(events) < rejected_share] = 99
    is_repeated = random.random(events) < duplicate_share
    for column in (users, items, ratings, times):
        column[1:][is_repeated[1:]] = column[:-1][is_repeated[1:]]
    producer = Producer(
        {
            "bootstrap.servers": settings.streaming.kafka_bootstrap_servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 10_000_000,
        }
    )
    for row, (user, item, rating, moment) in enumerate(zip(users, items, ratings, times, strict=True)):
        value = f'{{"user_id":{user},"item_id":{item},"rating":{rating},"timestamp":{moment}}}'
        producer.produce(settings.streaming.topic, value, key=str(user))
        if row % 10_000 == 0:
            producer.poll(0)
    producer.flush()


def warm_up(spark: SparkSession, settings: Settings) -> None:
    """Ingest another small topic, so that compilers and worker processes are there, as in a query that runs."""
    other = msgspec.structs.replace(
        settings,
        storage=msgspec.structs.replace(settings.storage, root=f"{settings.storage.root}-warm-up"),
        streaming=msgspec.structs.replace(settings.streaming, topic="warm-up"),
    )
    create_topic(other)
    fill_topic(other, WARM_UP_EVENTS, 0.01, 0.0, seed=1)
    ingest(spark, other, WARM_UP_EVENTS)


def ingest(spark: SparkSession, settings: Settings, events: int) -> Measured:
    """Ingest the topic as the asset does, and note the time of each commit."""
    seconds: list[float] = []
    ends: list[int] = []
    before = core_seconds()
    started = time.perf_counter()

    def on_batch(batch: BatchReport) -> None:
        seconds.append(time.perf_counter() - started)
        ends.append((ends[-1] if ends else 0) + batch.read)

    ingestion, _ = begin(settings, on_batch)
    query = start_query(spark, ingestion, availableNow=True)
    query.awaitTermination()
    end_query(query, ingestion)
    if ends[-1] != events:
        raise RuntimeError(f"read {ends[-1]} of {events} events")
    spent = {name: value - before.get(name, 0.0) for name, value in core_seconds().items()}
    return Measured(seconds, ends, sum(batch.rejected for batch in ingestion.batches), spent)


def core_seconds() -> dict[str, float]:
    """Processor time so far of the driver, of Spark's JVM, of its Python workers and of the broker."""
    spent = {"driver": 0.0, "jvm": 0.0, "python_workers": 0.0, "broker": 0.0}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            command, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:  # it has just ended
            continue
        name = "driver" if process.pid == os.getpid() else "python_workers"
        if "kafka.Kafka" in command:
            name = "broker"
        elif "java" in command.split(" ", 1)[0]:
            name = "jvm"
        spent[name] += times.user + times.system
    return spent


def sustained(measured: Measured) -> int | None:
    """Events per second after the first micro-batch; None if there is only one."""
    if len(measured.events) < 2:
        return None
    return round((measured.events[-1] - measured.events[0]) / (measured.seconds[-1] - measured.seconds[0]))


def milestones(measured: Measured) -> dict[str, float]:
    """Seconds after which so many events were committed, interpolated within a micro-batch."""
    return {
        str(milestone): round(float(np.interp(milestone, [0, *measured.events], [0.0, *measured.seconds])), 2)
        for milestone in MILESTONES
        if milestone <= measured.events[-1]
    }


def plain_append(spark: SparkSession, settings: Settings) -> float:
    """Seconds in which Spark alone parses the whole topic with `from_json` and appends it, without any check."""
    path = str(settings.root / "plain")
    started = time.perf_counter()
    query = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", settings.streaming.kafka_bootstrap_servers)
        .option("subscribe", settings.streaming.topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", str(settings.streaming.max_records_per_batch))
        .load()
        .selectExpr(
            "from_json(CAST(value AS STRING), 'user_id STRING, item_id STRING, rating FLOAT, timestamp LONG') AS event",
            "partition",
            "offset",
        )
        .select("event.*", "partition", "offset")
        .writeStream.format("delta")
        .option("checkpointLocation", f"{path}.checkpoint")
        .trigger(availableNow=True)
        .start(path)
    )
    query.awaitTermination()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
