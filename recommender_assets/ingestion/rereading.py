"""Reads a range of the topic again: rows that are missing come back, rows that are there are left alone."""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.commits import latest_commit_time, next_commit_time, remove_uncommitted
from recommender_assets.ingestion.ledger import LedgerPosition, accounting_errors, ledger_position
from recommender_assets.ingestion.micro_batch import PartitionCounts, write_micro_batch
from recommender_assets.ingestion.removed_rows import forget_unfinished
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import append_to_table, create_tables, read_table, table_path
from recommender_assets.ingestion.topic_position import (
    DataExpiredError,
    Watermarks,
    offsets_at,
    topic_state,
    verify_position,
)
from recommender_assets.ingestion.writer_lease import WriterLease
from recommender_assets.settings import Settings

_TABLES: tuple[TableName, ...] = ("interactions", "rejected_events")
_POSITION = ["kafka_partition", "kafka_offset"]
_POSITION_OF_RECORD = ["partition", "offset"]


class RangeError(ValueError):
    """The range cannot be read again; the message names the argument, its value and the rule."""


@dataclass(frozen=True)
class RequestedRange:
    """Where to start, either by offset for each partition, or for all partitions by time (epoch milliseconds)."""

    offsets: Mapping[int, int]
    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Rereading:
    """What came of it: records read, those put back by kind, and where ledger and tables disagree afterwards."""

    ranges: Mapping[int, tuple[int, int]]
    read: int
    accepted: int
    duplicate: int
    rejected: int
    errors: list[str]

    def summary(self) -> str:
        """What was read and put back, in one sentence."""
        ranges = ", ".join(f"partition {p} offsets {first} to {end - 1}" for p, (first, end) in self.ranges.items())
        restored = self.accepted + self.duplicate + self.rejected
        return (
            f"read again: {ranges or 'nothing'}; {self.read:,} records, {self.read - restored:,} had their row, "
            f"{restored:,} were put back ({self.accepted:,} accepted, {self.duplicate:,} duplicate, "
            f"{self.rejected:,} rejected)"
        )


def requested_range(offsets: tuple[str, ...], timestamp: str | None) -> RequestedRange:
    """The range from the command's arguments: `P:O` for each partition, or one RFC 3339 time with an offset.

    Raises:
        RangeError: neither or both are given, or one cannot be understood.
    """
    if bool(offsets) == (timestamp is not None):
        raise RangeError("--from-offset or --from-timestamp: exactly one of them is needed")
    if timestamp is not None:
        return RequestedRange({}, _milliseconds(timestamp))
    pairs = [re.fullmatch(r"(\d{1,9}):(\d{1,18})", text) for text in offsets]
    if not all(pairs):
        raise RangeError(f"--from-offset: expected PARTITION:OFFSET like 0:1500, got {', '.join(offsets)}")
    starts = {int(pair[1]): int(pair[2]) for pair in pairs if pair}
    if len(starts) < len(pairs):
        raise RangeError(f"--from-offset: a partition may occur once, got {', '.join(offsets)}")
    return RequestedRange(starts)


def reread(spark: Callable[[], SparkSession], settings: Settings, requested: RequestedRange) -> Rereading:
    """Read from the requested start up to the ledger's position, and write the rows that are missing.

    A record is identified by topic id, partition and offset. One that has a row in `interactions` or `rejected_events`
    is skipped, and so is one whose row was removed on purpose (a forgotten user's, an expired one); the others are
    decoded and deduplicated like new ones. The ledger accounts for the range already, so it
    is neither read nor written as new: `every_record_is_accounted_for` holds afterwards if the tables are whole again.
    Table `rereadings` has a row for each range, with what was put back.

    Args:
        spark: starts a session; called when there is something to read.
        settings: broker, topic and tables.
        requested: where to start.

    Raises:
        RangeError: a start that the ledger does not account for.
        DataExpiredError: the broker does not hold the start any more.
        TopicMissingError, TopicReplacedError, BrokerUnreachableError: see `topic_position`.
        WriterBusyError: another process writes these tables.
    """
    root, streaming = settings.root, settings.streaming
    with WriterLease(root, "reingest"):
        create_tables(root)
        position = ledger_position(root, streaming.topic)
        topic_id, marks = topic_state(streaming, streaming.topic)
        verify_position(position, topic_id, marks)
        remove_uncommitted(root)
        forget_unfinished(root)
        ranges = _ranges(settings, position, marks, requested)
        if not ranges:
            return Rereading({}, 0, 0, 0, 0, accounting_errors(root))
        records = _records(spark(), settings, ranges)
        missing = records.join(_rows_that_exist(records, settings, topic_id, ranges), _POSITION_OF_RECORD, "left_anti")
        # With the time of the ledger's last row, the rows count as covered by it.
        committed_at = next_commit_time(None) if (latest := latest_commit_time(root)) is None else latest
        written = write_micro_batch(missing, root, topic_id, settings.ratings, committed_at)
        written.commit(root, committed_at)
        _write_down(settings, topic_id, ranges, written.counts)
        counts = written.counts.values()
        return Rereading(
            ranges=ranges,
            read=records.count(),
            accepted=sum(count.accepted for count in counts),
            duplicate=sum(count.duplicate for count in counts),
            rejected=sum(count.rejected for count in counts),
            errors=accounting_errors(root),
        )


def _write_down(
    settings: Settings,
    topic_id: str,
    ranges: Mapping[int, tuple[int, int]],
    counts: Mapping[int, PartitionCounts],
) -> None:
    now = dt.datetime.now(dt.UTC)
    rows = [
        {
            "topic": settings.streaming.topic,
            "topic_id": topic_id,
            "kafka_partition": partition,
            "from_offset": start,
            "to_offset": end,
            **asdict(counts.get(partition, PartitionCounts())),
            "reread_at": now,
        }
        for partition, (start, end) in ranges.items()
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["rereadings"])
    append_to_table(table_path(settings.root, "rereadings"), table)


def _milliseconds(text: str) -> int:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise RangeError(f"--from-timestamp: expected RFC 3339 with an offset like 2026-01-31T00:00:00Z, got {text!r}")
    return int(time.timestamp() * 1_000)


def _ranges(
    settings: Settings, position: LedgerPosition, marks: Mapping[int, Watermarks], requested: RequestedRange
) -> dict[int, tuple[int, int]]:
    """First offset and first one after the last, by partition; partitions with nothing to read are left out."""
    first = _first_accounted(settings, position)
    starts = dict(requested.offsets)
    if requested.timestamp_ms is not None:
        streaming = settings.streaming
        found = offsets_at(streaming, streaming.topic, list(position.next_offsets), requested.timestamp_ms)
        starts = {partition: max(offset, first[partition]) for partition, offset in found.items()}
    for partition, start in starts.items():
        if partition not in first or start < first[partition]:
            where = f"begins at offset {first[partition]}" if partition in first else "does not know this partition"
            raise RangeError(f"--from-offset {partition}:{start}: the ingestion ledger {where}")
        if start < marks[partition].low:
            raise DataExpiredError(
                f"--from-offset {partition}:{start}: the broker's first record is at offset {marks[partition].low}"
            )
    ends = position.next_offsets
    return {
        partition: (start, ends[partition]) for partition, start in sorted(starts.items()) if start < ends[partition]
    }


def _first_accounted(settings: Settings, position: LedgerPosition) -> dict[int, int]:
    condition = (pc.field("topic") == position.topic) & (pc.field("topic_id") == position.topic_id)
    ledger = read_table(settings.root, "ingestion_ledger", ["kafka_partition", "from_offset"], condition)
    firsts = ledger.group_by("kafka_partition").aggregate([("from_offset", "min")]).to_pylist()
    return {row["kafka_partition"]: row["from_offset_min"] for row in firsts}


def _records(spark: SparkSession, settings: Settings, ranges: Mapping[int, tuple[int, int]]) -> DataFrame:
    streaming = settings.streaming
    starts = {str(partition): start for partition, (start, _) in ranges.items()}
    ends = {str(partition): end for partition, (_, end) in ranges.items()}
    options = {
        **streaming.spark_options,
        "kafka.isolation.level": "read_committed",
        "assign": json.dumps({streaming.topic: list(ranges)}),
        "startingOffsets": json.dumps({streaming.topic: starts}),
        "endingOffsets": json.dumps({streaming.topic: ends}),
        "failOnDataLoss": "true",
    }
    return spark.read.format("kafka").options(**options).load()


def _rows_that_exist(
    records: DataFrame, settings: Settings, topic_id: str, ranges: Mapping[int, tuple[int, int]]
) -> DataFrame:
    within = " OR ".join(f"(kafka_partition = {p} AND kafka_offset >= {start})" for p, (start, _) in ranges.items())
    tables = [
        records.sparkSession.read.format("delta")
        .load(table_path(settings.root, name))
        .where(F.col("topic_id") == topic_id)
        .where(within)
        .select(*_POSITION)
        for name in _TABLES
    ]
    removed = (
        records.sparkSession.read.format("delta")
        .load(table_path(settings.root, "removed_rows"))
        .where(F.col("topic_id") == topic_id)
        .select("kafka_partition", F.explode(F.expr("sequence(from_offset, to_offset - 1)")))
    )
    return reduce(DataFrame.unionAll, [*tables, removed]).toDF(*_POSITION_OF_RECORD)
