"""The one streaming query from Kafka into the Delta tables, and the order in which a micro-batch is committed.

`ingest_available` runs it until the topic is read (the `interactions` asset), `stream` until it is stopped.
"""

import datetime as dt
import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

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
from recommender_assets.ingestion.topic_position import require_same_topic, starting_offsets
from recommender_assets.ingestion.writer_lease import STREAM, WriterBusyError, WriterLease
from recommender_assets.settings import Settings


@dataclass(frozen=True)
class BatchReport:
    """What became of one micro-batch, and the seconds from its start to its last commit."""

    rows: list[LedgerRow]
    seconds: float

    @property
    def accepted(self) -> int:
        """Records that became rows of `interactions`."""
        return sum(row.accepted for row in self.rows)

    @property
    def duplicate(self) -> int:
        """Records of events that were read before."""
        return sum(row.duplicate for row in self.rows)

    @property
    def rejected(self) -> int:
        """Records that break a rule."""
        return sum(row.rejected for row in self.rows)

    @property
    def read(self) -> int:
        """All records of the batch."""
        return self.accepted + self.duplicate + self.rejected


@dataclass(frozen=True)
class IngestionReport:
    """What one ingestion did, and up to where the topic is read now; `writer` is who else writes the tables."""

    batches: int
    read: int
    accepted: int
    duplicate: int
    rejected: int
    position: LedgerPosition
    writer: str = ""


@dataclass
class Ingestion:
    """One run of the query; a ledger row comes last in each micro-batch, so a batch without one never happened.

    Attributes:
        settings: the validated settings.
        topic_id: the broker's id of the topic that is read.
        next_offsets: where the next micro-batch starts, for each partition.
        latest_commit: time of the ledger's last row.
        on_batch: called after each commit.
        generation: names the run's checkpoint.
        batches: what was committed.
    """

    settings: Settings
    topic_id: str
    next_offsets: dict[int, int]
    latest_commit: dt.datetime | None
    on_batch: Callable[[BatchReport], None] = lambda _: None
    generation: str = field(default_factory=lambda: uuid.uuid4().hex)
    batches: list[BatchReport] = field(default_factory=list)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _is_finished: bool = False

    @property
    def checkpoint(self) -> Path:
        """Folder of this run's checkpoint."""
        return _checkpoints(self.settings) / self.generation

    def write(self, records: DataFrame, batch_id: int) -> None:
        """Write and commit one micro-batch, as Spark's `foreachBatch` calls it.

        Raises:
            TopicReplacedError: the topic was created anew while the batch was read.
        """
        with self._writing:
            if self._is_finished:
                return  # what Spark planned while it was being stopped
            started = time.monotonic()
            rows = self._write(records, batch_id)
            self.batches.append(BatchReport(rows, time.monotonic() - started))
            self.on_batch(self.batches[-1])

    def finish(self) -> None:
        """Wait for the end of the micro-batch that is being written; begin no other."""
        with self._writing:
            self._is_finished = True

    def _write(self, records: DataFrame, batch_id: int) -> list[LedgerRow]:
        root, streaming = self.settings.root, self.settings.streaming
        ends = end_offsets(self.checkpoint, batch_id, streaming.topic)
        committed_at = next_commit_time(self.latest_commit)
        written = write_micro_batch(records, root, self.topic_id, self.settings.ratings, committed_at)
        require_same_topic(streaming, streaming.topic, self.topic_id)
        written.commit(root, committed_at)
        rows = []
        for partition, end in ends.items():
            start = self.next_offsets.get(partition, 0)
            if end > start:
                count = written.counts.get(partition, PartitionCounts())
                rows.append(LedgerRow(partition, start, end, count.accepted, count.duplicate, count.rejected))
        append_rows(
            root,
            streaming.topic,
            self.topic_id,
            rows,
            generation=self.generation,
            batch_id=batch_id,
            committed_at=committed_at,
        )
        self.latest_commit = committed_at
        self.next_offsets |= ends
        return rows


def ingest_available(spark: SparkSession, settings: Settings) -> IngestionReport:
    """Read everything that the topic holds beyond the ledger's position, then stop.

    Raises:
        TopicMissingError, TopicReplacedError, DataExpiredError: see `topic_position`; nothing was read.
        WriterBusyError: another process writes these tables.
        StreamingQueryException: a micro-batch failed; the next start reads it again.
    """
    return _ingest_available(lambda: spark, settings)


def ingest_or_report(session: Callable[[], SparkSession], settings: Settings) -> IngestionReport:
    """The same, but while `recommender stream` writes the tables only say up to where.

    Args:
        session: gives the Spark session; called only when there is something to read.
        settings: the validated settings.

    Raises:
        WriterBusyError: a process other than `recommender stream` writes these tables.
    """
    try:
        return _ingest_available(session, settings)
    except WriterBusyError as busy:
        if busy.purpose != STREAM:
            raise
        position = ledger_position(settings.root, settings.streaming.topic)
        return IngestionReport(0, 0, 0, 0, 0, position, writer=busy.purpose)


def begin(settings: Settings, on_batch: Callable[[BatchReport], None] = lambda _: None) -> tuple[Ingestion, bool]:
    """Make the tables agree with the ledger, and prepare to go on where it ends. The caller holds the writer lease.

    Returns:
        The run, and whether the topic holds anything for it.

    Raises:
        TopicMissingError, TopicReplacedError, DataExpiredError: see `topic_position`; nothing was changed.
    """
    root = settings.root
    create_tables(root)
    topic_id, starts, ends = starting_offsets(settings, ledger_position(root, settings.streaming.topic))
    remove_uncommitted(root)
    # The ledger is the truth, so a checkpoint lives no longer than its query; a killed run may have left one.
    shutil.rmtree(_checkpoints(settings), ignore_errors=True)
    return Ingestion(settings, topic_id, dict(starts), latest_commit_time(root), on_batch), starts != ends


def start_query(spark: SparkSession, ingestion: Ingestion, **trigger: Any) -> StreamingQuery:
    """Start the query.

    Args:
        spark: the session.
        ingestion: from `begin`.
        trigger: as of Spark's `DataStreamWriter.trigger`.
    """
    return (
        _records(spark, ingestion.settings, ingestion.next_offsets)
        .writeStream.foreachBatch(ingestion.write)
        .option("checkpointLocation", str(ingestion.checkpoint))
        .trigger(**trigger)
        .start()
    )


def end_query(query: StreamingQuery, ingestion: Ingestion) -> None:
    """Stop the query after the micro-batch that is being written."""
    ingestion.finish()
    query.stop()
    shutil.rmtree(_checkpoints(ingestion.settings), ignore_errors=True)


def _ingest_available(session: Callable[[], SparkSession], settings: Settings) -> IngestionReport:
    with WriterLease(settings.root, "ingestion"):
        ingestion, has_more = begin(settings)
        if has_more:
            query = start_query(session(), ingestion, availableNow=True)
            try:
                query.awaitTermination()
            finally:
                end_query(query, ingestion)
        return IngestionReport(
            batches=len(ingestion.batches),
            read=sum(batch.read for batch in ingestion.batches),
            accepted=sum(batch.accepted for batch in ingestion.batches),
            duplicate=sum(batch.duplicate for batch in ingestion.batches),
            rejected=sum(batch.rejected for batch in ingestion.batches),
            position=ledger_position(settings.root, settings.streaming.topic),
        )


def _records(spark: SparkSession, settings: Settings, starts: dict[int, int]) -> DataFrame:
    streaming = settings.streaming
    options = {
        **streaming.spark_options,
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
