"""The ingestion ledger: which range of which partition was read, and what became of its records.

A row with status `read` is one micro-batch of one partition, `lost` a range that expired before it was read, and
`accepted` a fresh start that someone agreed to (`recommender accept-topic`).
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.removed_rows import KINDS, RemovedRows
from recommender_assets.ingestion.tables import read_table


@dataclass(frozen=True)
class LedgerPosition:
    """Up to where a topic was read: the next offset of each partition; `topic_id` is empty before the first read."""

    topic: str
    topic_id: str = ""
    next_offsets: dict[int, int] = field(default_factory=dict)


def ledger_position(root: Path, topic: str) -> LedgerPosition:
    """Where the next read of `topic` starts; readers of the tables ignore rows at or beyond it."""
    rows = ledger_rows(root, topic)
    if rows.num_rows == 0:
        return LedgerPosition(topic)
    topic_id = rows["topic_id"][-1].as_py()
    current = rows.filter(pc.field("topic_id") == topic_id)
    ends = zip(current["kafka_partition"].to_pylist(), current["to_offset"].to_pylist(), strict=True)
    return LedgerPosition(topic, topic_id, dict(ends))


def ledger_rows(root: Path, topic: str) -> pa.Table:
    """The topic's rows in the order in which they were written."""
    rows = read_table(root, "ingestion_ledger", condition=pc.field("topic") == topic)
    return rows.sort_by([("committed_at", "ascending"), ("kafka_partition", "ascending")])


def contiguity_gaps(root: Path) -> list[str]:
    """Where a partition's ledger range does not begin where the one before it ended; empty = all is well.

    An `accepted` row starts a new chain.
    """
    gaps = []
    ends: dict[tuple[str, int], int] = {}
    for row in _ledger(root).to_pylist():
        partition = (row["topic_id"], row["kafka_partition"])
        expected = ends.get(partition, row["from_offset"])
        if row["status"] != "accepted" and row["from_offset"] != expected:
            gaps.append(f"{_place(*partition)}: expected offset {expected} next, found {row['from_offset']}")
        ends[partition] = row["to_offset"]
    return gaps


def accounting_errors(root: Path) -> list[str]:
    """Where the ledger's counts differ from the rows of `interactions` and `rejected_events`; empty = all is well.

    Rows outside all ranges and records that were written twice are errors too. Rows that were removed on purpose are
    counted as if they were there.
    """
    rows, removed = _offsets_and_kinds(root), RemovedRows(root)
    errors = []
    for partition, ranges in _ranges(root).items():
        offsets, kinds = rows.pop(partition, (np.empty(0, np.int64), np.empty(0, np.int8)))
        stray = np.ones(len(offsets), dtype=np.bool_)
        for row in ranges:
            low, high = np.searchsorted(offsets, (row["from_offset"], row["to_offset"]))
            stray[low:high] = False
            where = f"{_place(*partition)}, offsets {row['from_offset']} to {row['to_offset'] - 1}"
            claimed = [row["accepted"], row["duplicate"], row["rejected"]]
            gone = [removed.count(kind, partition, row["from_offset"], row["to_offset"]) for kind in KINDS]
            if (found := (np.bincount(kinds[low:high], minlength=3) + gone).tolist()) != claimed:
                errors.append(f"{where}: {claimed} accepted, duplicate, rejected in the ledger, {found} in the tables")
            if len(np.unique(offsets[low:high])) != high - low:
                errors.append(f"{where}: a record has more than one row")
        if stray.any():
            errors.append(f"{_place(*partition)}: {stray.sum()} rows that no ledger row covers")
    errors += [f"{_place(*key)}: {len(kinds)} rows that no ledger row covers" for key, (_, kinds) in rows.items()]
    return errors


def _place(topic_id: str, partition: int) -> str:
    return f"topic id {topic_id}, partition {partition}"


def _ledger(root: Path) -> pa.Table:
    return read_table(root, "ingestion_ledger").sort_by("committed_at")


def _ranges(root: Path) -> dict[tuple[str, int], list[dict[str, int]]]:
    ranges: dict[tuple[str, int], list[dict[str, int]]] = {}
    for row in _ledger(root).to_pylist():
        ranges.setdefault((row["topic_id"], row["kafka_partition"]), []).append(row)
    return ranges


def _offsets_and_kinds(root: Path) -> dict[tuple[str, int], tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]]:
    """Offsets (sorted) and kind (0 accepted, 1 duplicate, 2 rejected) of all rows, by (topic id, partition)."""
    columns = ["topic_id", "kafka_partition", "kafka_offset"]
    accepted = read_table(root, "interactions", columns)
    rejected = read_table(root, "rejected_events", [*columns, "reason"])
    kind = pc.if_else(pc.equal(rejected["reason"], "duplicate"), 1, 2)
    rows = pa.concat_tables(
        [
            accepted.append_column("kind", pa.repeat(pa.scalar(0, pa.int8()), accepted.num_rows)),
            rejected.drop_columns("reason").append_column("kind", kind.cast(pa.int8())),
        ]
    ).sort_by([(name, "ascending") for name in columns])
    groups = rows.group_by(["topic_id", "kafka_partition"], use_threads=False)
    counts = groups.aggregate([([], "count_all")]).to_pylist()
    result, start = {}, 0
    for group in counts:
        part = rows.slice(start, group["count_all"])
        result[group["topic_id"], group["kafka_partition"]] = (
            part["kafka_offset"].to_numpy(),
            part["kind"].to_numpy(),
        )
        start += group["count_all"]
    return result
