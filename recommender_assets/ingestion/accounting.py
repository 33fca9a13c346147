"""Facts for the asset checks: does the ledger chain without gaps, and does it account for every row?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.tables import read_table

Counts = tuple[int, int, int]


@dataclass(frozen=True)
class ContiguityGap:
    """A ledger range that does not begin where the one before it ended."""

    topic_id: str
    kafka_partition: int
    expected_offset: int
    found_offset: int


@dataclass(frozen=True)
class AccountingError:
    """What the ledger claims of a range, or of rows outside all ranges, and what the tables hold.

    `from_offset` is -1 for rows outside all ranges; counts are (accepted, duplicate, rejected).
    """

    topic_id: str
    kafka_partition: int
    from_offset: int
    to_offset: int
    claimed: Counts
    found: Counts


def contiguity_gaps(root: Path) -> list[ContiguityGap]:
    """Gaps and overlaps between consecutive ledger rows of a partition; an `accepted` row starts a new chain."""
    gaps = []
    ends: dict[tuple[str, int], int] = {}
    for row in _ledger(root).to_pylist():
        partition = (row["topic_id"], row["kafka_partition"])
        expected = ends.get(partition, row["from_offset"])
        if row["status"] != "accepted" and row["from_offset"] != expected:
            gaps.append(ContiguityGap(*partition, expected, row["from_offset"]))
        ends[partition] = row["to_offset"]
    return gaps


def accounting_errors(root: Path) -> list[AccountingError]:
    """Ledger ranges whose counts differ from the rows in `interactions` and `rejected_events`, and stray rows.

    Rows are counted by distinct offset, so a record that was written twice shows up as an error too.
    """
    rows = _committed_rows(root)
    errors = []
    for (topic_id, partition), ranges in _ranges(root).items():
        offsets, kinds = rows.pop((topic_id, partition), (np.empty(0, np.int64), np.empty(0, np.int8)))
        stray = np.ones(len(offsets), dtype=bool)
        for row in ranges:
            low, high = np.searchsorted(offsets, (row["from_offset"], row["to_offset"]))
            stray[low:high] = False
            claimed = (row["accepted"], row["duplicate"], row["rejected"])
            found = _counts(kinds[low:high])
            repeated = len(np.unique(offsets[low:high])) != high - low
            if found != claimed or repeated:
                errors.append(
                    AccountingError(topic_id, partition, row["from_offset"], row["to_offset"], claimed, found)
                )
        if stray.any():
            errors.append(AccountingError(topic_id, partition, -1, -1, (0, 0, 0), _counts(kinds[stray])))
    errors += [AccountingError(*key, -1, -1, (0, 0, 0), _counts(kinds)) for key, (_, kinds) in rows.items()]
    return errors


def _ledger(root: Path) -> pa.Table:
    return read_table(root, "ingestion_ledger").sort_by("committed_at")


def _ranges(root: Path) -> dict[tuple[str, int], list[dict[str, int]]]:
    ranges: dict[tuple[str, int], list[dict[str, int]]] = {}
    for row in _ledger(root).to_pylist():
        ranges.setdefault((row["topic_id"], row["kafka_partition"]), []).append(row)
    return ranges


def _committed_rows(root: Path) -> dict[tuple[str, int], tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]]:
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


def _counts(kinds: npt.NDArray[np.int8]) -> Counts:
    accepted, duplicate, rejected = np.bincount(kinds, minlength=3).tolist()
    return accepted, duplicate, rejected
