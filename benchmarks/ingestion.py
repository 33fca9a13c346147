"""Events per second from Kafka into Delta, against a plain Spark append of the same topic in the same run.

Run with `python -m benchmarks.ingestion --events 1000000`. The last line is one JSON object.
"""

import json
import tempfile
import time
from pathlib import Path

import click
import msgspec
import numpy as np
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from recommender_assets.ingestion.spark_session import spark_conf
from recommender_assets.ingestion.streaming_query import ingest_available
from recommender_assets.local.broker import LocalBroker
from recommender_assets.local.topic import create_topic
from recommender_assets.settings import Settings, load_settings

USERS, ITEMS = 50_000, 20_000
FIRST_TIME = 1_700_000_000


@click.command()
@click.option("--events", type=click.IntRange(min=1), default=1_000_000, show_default=True)
def main(events: int) -> None:
    """Fill a topic, ingest it cold and warm, append it plainly, and print the rates."""
    with tempfile.TemporaryDirectory() as folder, LocalBroker(Path(folder) / "kafka", port=0) as broker:
        settings = settings_at(Path(folder), broker.bootstrap_servers)
        create_topic(settings)
        fill_topic(settings, events, seed=0)
        started = time.perf_counter()
        spark = session(settings)
        session_s = time.perf_counter() - started
        cold_s = ingest(spark, settings, events)
        plain_cold_s = plain_append(spark, settings, events)
        fill_topic(settings, events, seed=1)
        warm_s = ingest(spark, settings, events)
        plain_warm_s = plain_append(spark, settings, 2 * events) / 2
        spark.stop()
    result = {
        "benchmark": "ingestion",
        "events": events,
        "session_s": round(session_s, 1),
        "first_events_per_s": round(events / cold_s),
        "events_per_s": round(events / warm_s),
        "plain_append_events_per_s": round(events / plain_warm_s),
        "plain_append_first_events_per_s": round(events / plain_cold_s),
        "ratio": round(plain_warm_s / warm_s, 2),
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


def fill_topic(settings: Settings, events: int, seed: int) -> None:
    """Send random ratings of about one day, one in a thousand of them broken, without event ids."""
    random = np.random.default_rng(seed)
    users, items = random.integers(USERS, size=events), random.integers(ITEMS, size=events)
    ratings, times = random.integers(1, 11, size=events) / 2, FIRST_TIME + random.integers(86_400, size=events)
    producer = Producer(
        {
            "bootstrap.servers": settings.streaming.kafka_bootstrap_servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 10_000_000,
        }
    )
    for row, (user, item, rating, moment) in enumerate(zip(users, items, ratings, times, strict=True)):
        value = f'{{"user_id":{user},"item_id":{item},"rating":{rating if row % 1_000 else 99},"timestamp":{moment}}}'
        producer.produce(settings.streaming.topic, value, key=str(user))
        if row % 10_000 == 0:
            producer.poll(0)
    producer.flush()


def session(settings: Settings) -> SparkSession:
    """A Spark session as the shipped configuration starts it."""
    builder = SparkSession.builder
    for key, value in spark_conf(settings).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def ingest(spark: SparkSession, settings: Settings, events: int) -> float:
    """Seconds to ingest what the topic holds beyond the ledger's position."""
    started = time.perf_counter()
    report = ingest_available(spark, settings)
    elapsed = time.perf_counter() - started
    if report.read != events:
        raise RuntimeError(f"read {report.read} of {events} events")
    return elapsed


def plain_append(spark: SparkSession, settings: Settings, events: int) -> float:
    """Seconds in which Spark alone parses the whole topic with `from_json` and appends it, without any check."""
    path = str(settings.root / "plain" / str(events))
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
