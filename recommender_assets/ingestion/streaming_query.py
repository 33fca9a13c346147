"""The streaming query from Kafka into the Delta tables, and the order in which a micro-batch is committed."""

import datetime as dt
import json
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from recommender_assets.ingestion.checkpoint import end_offsets
from recommender_assets.ingestion.commits import (
    LedgerRow,
    append_rows,
    latest_commit_time,
    next_commit_time,
    remove_uncommitted,
)
from recommender_assets.ingestion.ledger import LedgerPosition, ledger_position
from recommender_assets.ingestion.micro_batch import PartitionCounts, write_micro_batch
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.topic_position import starting_offsets
from recommender_assets.ingestion.writer_lease import WriterLease
from recommender_assets.settings import Settings


@dataclass(frozen=True)
class IngestionReport:
    """What one ingestion did, and up to where the topic is read now."""

    batches: int
    read: int
    accepted: int
    duplicate: int
    rejected: int
    position: LedgerPosition


@dataclass
class _Ingestion:
    """Writes the micro-batches of one query; the ledger row comes last, so a batch without one never happened."""

    settings: Settings
    topic_id: str
    next_offsets: dict[int, int]
    latest_commit: dt.datetime | None
    generation: str = field(default_factory=lambda: uuid.uuid4().hex)
    batches: list[list[LedgerRow]] = field(default_factory=list)

    @property
    def checkpoint(self) -> Path:
        return _checkpoints(self.settings) / self.generation

    def write(self, records: DataFrame, batch_id: int) -> None:
        streaming = self.settings.streaming
        ends = end_offsets(self.checkpoint, batch_id, streaming.topic)
        committed_at = next_commit_time(self.latest_commit)
        counts = write_micro_batch(records, self.settings.root, self.topic_id, self.settings.ratings, committed_at)
        rows = []
        for partition, end in ends.items():
            start = self.next_offsets.get(partition, 0)
            if end > start:
                count = counts.get(partition, PartitionCounts())
                rows.append(LedgerRow(partition, start, end, count.accepted, count.duplicate, count.rejected))
        append_rows(
            self.settings.root,
            streaming.topic,
            self.topic_id,
            rows,
            generation=self.generation,
            batch_id=batch_id,
            committed_at=committed_at,
        )
        self.latest_commit = committed_at
        self.next_offsets |= ends
        self.batches.append(rows)


def ingest_available(spark: SparkSession, settings: Settings) -> IngestionReport:
    """Read everything that the topic holds beyond the ledger's position, then stop.

    Raises:
        TopicMissingError, TopicReplacedError, DataExpiredError: see `topic_position`; nothing was read.
        WriterBusyError: another process writes these tables.
        StreamingQueryException: a micro-batch failed; the next start reads it again.
    """
    root, topic = settings.root, settings.streaming.topic
    with WriterLease(root, "ingestion"):
        create_tables(root)
        topic_id, starts, ends = starting_offsets(settings, ledger_position(root, topic))
        remove_uncommitted(root)
        ingestion = _Ingestion(settings, topic_id, dict(starts), latest_commit_time(root))
        if starts != ends:
            _run(spark, ingestion)
        rows = [row for batch in ingestion.batches for row in batch]
        return IngestionReport(
            batches=len(ingestion.batches),
            read=sum(row.accepted + row.duplicate + row.rejected for row in rows),
            accepted=sum(row.accepted for row in rows),
            duplicate=sum(row.duplicate for row in rows),
            rejected=sum(row.rejected for row in rows),
            position=ledger_position(root, topic),
        )


def _run(spark: SparkSession, ingestion: _Ingestion) -> None:
    # The ledger is the truth, so a checkpoint lives no longer than its query; a killed run may have left one.
    shutil.rmtree(_checkpoints(ingestion.settings), ignore_errors=True)
    query = (
        _records(spark, ingestion.settings, ingestion.next_offsets)
        .writeStream.foreachBatch(ingestion.write)
        .option("checkpointLocation", str(ingestion.checkpoint))
        .trigger(availableNow=True)
        .start()
    )
    try:
        query.awaitTermination()
    finally:
        query.stop()
        shutil.rmtree(_checkpoints(ingestion.settings), ignore_errors=True)


def _records(spark: SparkSession, settings: Settings, starts: dict[int, int]) -> DataFrame:
    streaming = settings.streaming
    options = {
        "kafka.bootstrap.servers": streaming.kafka_bootstrap_servers,
        "kafka.isolation.level": "read_committed",
        "subscribe": streaming.topic,
        "startingOffsets": json.dumps({streaming.topic: {str(key): offset for key, offset in starts.items()}}),
        "maxOffsetsPerTrigger": str(streaming.max_records_per_batch),
        "failOnDataLoss": "true",
        "minPartitions": str(spark.sparkContext.defaultParallelism),
    }
    return spark.readStream.format("kafka").options(**options).load()


def _checkpoints(settings: Settings) -> Path:
    return settings.root / "checkpoints"
