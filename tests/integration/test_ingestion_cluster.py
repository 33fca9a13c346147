"""Ingestion on a Spark of several processes: a driver and two executors, as on a cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Producer

from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.tables import read_table
from recommender_assets.settings import Settings

PROJECT = Path(__file__).parents[2]
EVENTS = 2_000
INGEST = """
from recommender_assets.ingestion.spark_session import start_session
from recommender_assets.ingestion.streaming_query import ingest_available
from recommender_assets.settings import load_settings

settings = load_settings()
spark = start_session(settings)
report = ingest_available(spark, settings)
executors = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
print(report.read, report.accepted, report.duplicate, report.rejected, executors)
spark.stop()
"""


def test_executors_in_other_processes_write_the_same_tables(settings: Settings, topic: str) -> None:
    producer = Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    for number in range(EVENTS):
        fields = {"user_id": number, "item_id": 1, "rating": 4.0, "timestamp": 1_700_000_000 + number}
        value = json.dumps(fields).encode()
        producer.produce(topic, value if number % 100 else b"bad")
        if number % 50 == 1:
            producer.produce(topic, value)
    assert producer.flush(30) == 0
    environ = {
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "RECOMMENDER__STORAGE__ROOT": settings.storage.root,
        "RECOMMENDER__STREAMING__TOPIC": topic,
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": settings.streaming.kafka_bootstrap_servers,
        "RECOMMENDER__SPARK__MASTER": "local-cluster[2,1,1024]",
        "RECOMMENDER__SPARK__JARS_DIRECTORY": settings.spark.jars_directory,
        "PYTHONPATH": str(PROJECT),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", INGEST],
        env=os.environ | environ,
        cwd=Path(settings.storage.root).parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert done.stdout.split() == ["2040", "1980", "40", "20", "2"]
    assert sum(ledger_position(settings.root, topic).next_offsets.values()) == EVENTS + 40
    assert read_table(settings.root, "interactions", ["kafka_offset"]).num_rows == 1_980
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []
