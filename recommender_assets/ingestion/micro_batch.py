"""What happens to one micro-batch: every record becomes one row of `interactions` or of `rejected_events`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.deduplication import read_in_earlier_batches, repeated_in_batch
from recommender_assets.ingestion.event_parsing import parsed_events
from recommender_assets.ingestion.tables import SCHEMAS, TableName, table_path
from recommender_serving.engine.config import RatingScale

_POSITION = ["kafka_partition", "kafka_offset"]
_KEY = [*_POSITION, "event_id", "timestamp", "event_day", "reason"]


@dataclass(frozen=True)
class PartitionCounts:
    """What became of the records of one partition."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0


def write_micro_batch(records: DataFrame, root: Path, topic_id: str, scale: RatingScale) -> dict[int, PartitionCounts]:
    """Decode, deduplicate and write the records of one micro-batch, rejected ones first.

    The driver holds the identities of one micro-batch (some 70 bytes for each record), never the records.

    Returns:
        Counts for each partition that has records.
    """
    parsed = parsed_events(records, scale).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        keys = parsed.select(*_KEY).toArrow()
        accepted, rejected = parsed.where("reason IS NULL"), parsed.where("reason IS NOT NULL")
        duplicates = _duplicates(accepted, keys, root)
        counts = _counts(keys, duplicates)
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


def _duplicates(accepted: DataFrame, keys: pa.Table, root: Path) -> pa.Table:
    """Positions of valid events that were read before, each once."""
    valid = keys.filter(pc.is_null(keys["reason"]))
    repeated = valid.filter(pa.array(repeated_in_batch(valid))).select(_POSITION)
    earlier = read_in_earlier_batches(accepted, root, pc.unique(valid["event_day"]).to_pylist())
    return pa.concat_tables([repeated, earlier.cast(repeated.schema)]).group_by(_POSITION).aggregate([])


def _counts(keys: pa.Table, duplicates: pa.Table) -> dict[int, PartitionCounts]:
    partitions = keys["kafka_partition"].to_numpy()
    size = int(partitions.max(initial=-1)) + 1
    read = np.bincount(partitions, minlength=size)
    rejected = np.bincount(partitions[pc.is_valid(keys["reason"]).to_numpy()], minlength=size)
    duplicate = np.bincount(duplicates["kafka_partition"].to_numpy(), minlength=size)
    return {
        int(p): PartitionCounts(int(read[p] - rejected[p] - duplicate[p]), int(duplicate[p]), int(rejected[p]))
        for p in np.flatnonzero(read)
    }


def _as_rejected(duplicates: DataFrame) -> DataFrame:
    detail = F.format_string("event_id: %s with this timestamp was read before", "event_id")
    return duplicates.withColumns({"reason": F.lit("duplicate"), "detail": detail})


def _append(rows: DataFrame, root: Path, name: TableName, topic_id: str) -> None:
    complete = rows.withColumns({"topic_id": F.lit(topic_id), "ingested_at": F.current_timestamp()})
    complete.select(*SCHEMAS[name].names).write.format("delta").mode("append").save(table_path(root, name))
