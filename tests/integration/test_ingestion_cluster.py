"""Ingestion on a Spark of several processes: a driver and two executors, as on a cluster."""

import json

from confluent_kafka import Producer

from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.tables import read_table
from recommender_assets.settings import Settings
from tests.spark_cluster import run_on_cluster

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
    assert run_on_cluster(INGEST, settings) == ["2040", "1980", "40", "20", "2"]
    assert sum(ledger_position(settings.root, topic).next_offsets.values()) == EVENTS + 40
    assert read_table(settings.root, "interactions", ["kafka_offset"]).num_rows == 1_980
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []
