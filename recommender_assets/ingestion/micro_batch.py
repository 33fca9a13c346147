"""What happens to one micro-batch: every record becomes one row of `interactions` or of `rejected_events`."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.deduplication import duplicate_positions
from recommender_assets.ingestion.event_parsing import parsed_events
from recommender_assets.ingestion.tables import SCHEMAS, TableName, table_path
from recommender_serving.engine.config import RatingScale

_POSITION = ["kafka_partition", "kafka_offset"]


@dataclass(frozen=True)
class PartitionCounts:
    """What became of the records of one partition."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0


def write_micro_batch(records: DataFrame, root: Path, topic_id: str, scale: RatingScale) -> dict[int, PartitionCounts]:
    """Decode, deduplicate and write the records of one micro-batch, rejected ones first.

    Returns:
        Counts for each partition that has records.
    """
    parsed = parsed_events(records, scale).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        summary = _summary(parsed)
        duplicates = _duplicates(parsed, root, summary)
        counts = _counts(summary, duplicates)
        rejected = parsed.where("reason IS NOT NULL")
        accepted = parsed.where("reason IS NULL")
        if duplicates.num_rows:
            positions = F.broadcast(records.sparkSession.createDataFrame(duplicates))
            rejected = rejected.unionByName(_as_rejected(accepted.join(positions, _POSITION)))
            accepted = accepted.join(positions, _POSITION, "left_anti")
        if any(count.duplicate + count.rejected for count in counts.values()):
            _append(rejected, root, "rejected_events", topic_id)
        if any(count.accepted for count in counts.values()):
            _append(accepted, root, "interactions", topic_id)
        return counts
    finally:
        parsed.unpersist()


def _summary(parsed: DataFrame) -> pa.Table:
    return (
        parsed.groupBy("kafka_partition")
        .agg(
            F.count("*").alias("read"),
            F.count("reason").alias("rejected"),
            F.collect_set("event_day").alias("days"),
        )
        .toArrow()
    )


def _duplicates(parsed: DataFrame, root: Path, summary: pa.Table) -> pa.Table:
    days = sorted({day for partition in summary["days"].to_pylist() for day in partition})
    interactions = parsed.sparkSession.read.format("delta").load(table_path(root, "interactions"))
    earlier = interactions.where(F.col("event_day").isin(days))
    return duplicate_positions(parsed.where("reason IS NULL"), earlier).toArrow()


def _counts(summary: pa.Table, duplicates: pa.Table) -> dict[int, PartitionCounts]:
    grouped = duplicates.group_by("kafka_partition").aggregate([([], "count_all")])
    duplicate = dict(zip(*(grouped[name].to_pylist() for name in ("kafka_partition", "count_all")), strict=True))
    return {
        row["kafka_partition"]: PartitionCounts(
            accepted=row["read"] - row["rejected"] - duplicate.get(row["kafka_partition"], 0),
            duplicate=duplicate.get(row["kafka_partition"], 0),
            rejected=row["rejected"],
        )
        for row in summary.to_pylist()
    }


def _as_rejected(duplicates: DataFrame) -> DataFrame:
    detail = F.format_string("event_id: %s with this timestamp was read before", "event_id")
    return duplicates.withColumns({"reason": F.lit("duplicate"), "detail": detail})


def _append(rows: DataFrame, root: Path, name: TableName, topic_id: str) -> None:
    complete = rows.withColumns({"topic_id": F.lit(topic_id), "ingested_at": F.current_timestamp()})
    complete.select(*SCHEMAS[name].names).write.format("delta").mode("append").save(table_path(root, name))
