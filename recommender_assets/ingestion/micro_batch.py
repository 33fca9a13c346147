"""What happens to one micro-batch: every record becomes one row of `interactions` or of `rejected_events`."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import from_arrow_schema

from recommender_assets.ingestion.commits import commit_files
from recommender_assets.ingestion.deduplication import duplicates
from recommender_assets.ingestion.event_files import (
    FILE_SCHEMA,
    WrittenFile,
    read_columns,
    remove_event_file,
    writing,
)
from recommender_assets.ingestion.event_parsing import kafka_records, parse_records
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_serving.engine.config import RatingScale

_OFFSET_BITS = 44


class DoubledRecordError(RuntimeError):
    """A record became two rows."""


@dataclass(frozen=True)
class PartitionCounts:
    """What became of the records of one partition."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class WrittenBatch:
    """The files of a micro-batch, of which no table knows yet, and what became of the records of each partition."""

    accepted: list[WrittenFile]
    rejected: list[WrittenFile]
    counts: dict[int, PartitionCounts]

    def commit(self, root: Path, committed_at: dt.datetime) -> None:
        """Make the files part of their tables, rejected ones first.

        Args:
            root: the storage root.
            committed_at: time of the ledger row that will follow.
        """
        commit_files(root, "rejected_events", self.rejected, committed_at)
        commit_files(root, "interactions", self.accepted, committed_at)


def write_micro_batch(
    records: DataFrame, root: Path, topic_id: str, scale: RatingScale, ingested_at: dt.datetime
) -> WrittenBatch:
    """Decode, deduplicate and write the records of one micro-batch, without committing anything.

    Workers decode and write the files; the driver holds the identities of one micro-batch (28 bytes for each record),
    never the records. Only when it finds duplicates are their files written again, and the raw bytes of duplicates read
    again from Kafka.

    Args:
        records: rows of Spark's Kafka source.
        root: the storage root.
        topic_id: the broker's id of the topic.
        scale: lowest and highest rating allowed.
        ingested_at: the time that all rows carry.

    Raises:
        DoubledRecordError: a record has two rows; nothing may be committed.
    """
    constants = {"topic_id": topic_id, "ingested_at": ingested_at}
    raw = kafka_records(records)
    files = _written(raw, writing(root, constants, lambda batch: _by_fate(parse_records(batch, scale))))
    accepted = [file for file in files if file.table == "interactions"]
    rejected = [file for file in files if file.table == "rejected_events"]
    found = duplicates([file.identities for file in accepted], root)
    repeated = [file.identities[is_duplicate] for file, is_duplicate in zip(accepted, found, strict=True)]
    counts = _counts([file.identities for file in accepted], repeated, [file.identities for file in rejected])
    if any(len(rows) for rows in repeated):
        rejected += _as_rejected(raw, np.concatenate(repeated), root, constants, scale)
        accepted = _without_duplicates(records, accepted, found, root)
    require_one_row_each([file.identities for file in accepted + rejected])
    return WrittenBatch(accepted, rejected, counts)


def require_one_row_each(files: Sequence[npt.NDArray[np.void]]) -> None:
    """Refuse files in which a record has two rows.

    The check of a table by its statistics counts rows, so a lost row beside a doubled one would escape it. Both can
    only come about while files are written: here it costs a sort of the batch's positions.

    Args:
        files: `IDENTITY` of the rows of each file.

    Raises:
        DoubledRecordError: naming the first such record.
    """
    if not files:
        return
    rows = np.concatenate(files)
    packed = (rows["kafka_partition"].astype(np.int64) << _OFFSET_BITS) ^ rows["kafka_offset"]
    ordered = np.sort(packed)
    suspects = rows[np.isin(packed, ordered[1:][ordered[1:] == ordered[:-1]])]
    found = Counter(suspects[["kafka_partition", "kafka_offset"]].tolist())
    for (partition, offset), count in found.items():
        if count > 1:
            raise DoubledRecordError(
                f"partition {partition}, offset {offset} has more than one row; nothing was committed"
            )


def _written(rows: DataFrame, write: Any) -> list[WrittenFile]:
    files = rows.mapInArrow(write, from_arrow_schema(FILE_SCHEMA)).toArrow()
    return [WrittenFile.from_row(row) for row in files.to_pylist()]


def _by_fate(parsed: pa.RecordBatch) -> Iterator[tuple[TableName, pa.RecordBatch]]:
    is_event = pc.is_null(parsed.column("reason"))
    if pc.all(is_event).as_py():
        yield "interactions", parsed
    else:
        yield "interactions", parsed.filter(is_event)
        yield "rejected_events", parsed.filter(pc.invert(is_event))


def _counts(
    accepted: Iterable[npt.NDArray[np.void]],
    repeated: Iterable[npt.NDArray[np.void]],
    rejected: Iterable[npt.NDArray[np.void]],
) -> dict[int, PartitionCounts]:
    valid, duplicate, refused = (_by_partition(rows) for rows in (accepted, repeated, rejected))
    return {
        partition: PartitionCounts(
            valid.get(partition, 0) - duplicate.get(partition, 0),
            duplicate.get(partition, 0),
            refused.get(partition, 0),
        )
        for partition in sorted(valid.keys() | refused.keys())
    }


def _by_partition(rows: Iterable[npt.NDArray[np.void]]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for identities in rows:
        for partition, count in zip(*np.unique(identities["kafka_partition"], return_counts=True), strict=True):
            counts[int(partition)] = counts.get(int(partition), 0) + int(count)
    return counts


def _as_rejected(
    raw: DataFrame, repeated: npt.NDArray[np.void], root: Path, constants: dict[str, Any], scale: RatingScale
) -> list[WrittenFile]:
    """Write the duplicates, with the bytes that Kafka still has, to `rejected_events`."""

    def split(batch: pa.RecordBatch) -> Iterator[tuple[TableName, pa.RecordBatch]]:
        parsed = parse_records(batch, scale)
        detail = pc.binary_join_element_wise(
            "event_id:", parsed["event_id"], "with this timestamp was read before", " "
        )
        reason = pa.repeat("duplicate", parsed.num_rows)
        yield (
            "rejected_events",
            parsed.drop_columns(["reason", "detail"]).append_column("reason", reason).append_column("detail", detail),
        )

    columns = {name: pa.array(repeated[name]) for name in ("kafka_partition", "kafka_offset")}
    positions = raw.sparkSession.createDataFrame(pa.table(columns))
    return _written(raw.join(F.broadcast(positions), list(columns), "left_semi"), writing(root, constants, split))


def _without_duplicates(
    records: DataFrame, files: list[WrittenFile], found: list[npt.NDArray[np.bool_]], root: Path
) -> list[WrittenFile]:
    """The same files, those with duplicates written again without them."""

    def split(batch: pa.RecordBatch) -> Iterator[tuple[TableName, pa.RecordBatch]]:
        for file in batch.to_pylist():
            is_kept = ~np.frombuffer(file["is_duplicate"], np.bool_)
            start = 0
            for rows in read_columns(root, "interactions", file["path"], SCHEMAS["interactions"].names):
                yield "interactions", rows.filter(pa.array(is_kept[start : start + rows.num_rows]))
                start += rows.num_rows

    pairs = list(zip(files, found, strict=True))
    changed = [(file, is_duplicate) for file, is_duplicate in pairs if is_duplicate.any()]
    table = pa.table(
        {
            "path": [file.path for file, _ in changed],
            "is_duplicate": [is_duplicate.tobytes() for _, is_duplicate in changed],
        }
    )
    tasks = records.sparkSession.createDataFrame(table).repartition(len(changed), "path")
    rewritten = _written(tasks, writing(root, {}, split))
    for file, _ in changed:
        remove_event_file(root, "interactions", file.path)
    return [file for file, is_duplicate in pairs if not is_duplicate.any()] + rewritten
