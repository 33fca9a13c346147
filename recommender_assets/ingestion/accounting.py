"""Whether the tables hold as many rows as the ledger counts, by the statistics of their files alone.

No row is read, so the cost does not grow with the rows of a table but with its files and the ledger.
`ledger.accounting_errors` is the exact proof, which reads the position of every row.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from recommender_assets.ingestion.removed_rows import RemovedRows
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import read_table, table_path

_COUNTED: dict[TableName, tuple[str, ...]] = {
    "interactions": ("accepted",),
    "rejected_events": ("duplicate", "rejected"),
}
_PLACE = ("topic_id", "kafka_partition", "kafka_offset")


def accounting_differences(root: Path) -> list[str]:
    """Where the number of rows differs from the ledger's counts; empty = all is well.

    A file that lies within one range of the ledger, as ingestion writes them, is compared with that range. Files that
    OPTIMIZE merged from several ranges are compared as a whole with what the other files leave over. A row that is
    lost and another that is doubled within the same range have the same count: `micro_batch` refuses to write such
    files, and the exact proof sees them. Rows
    that were removed on purpose are counted as if they were there.
    """
    ledger = read_table(root, "ingestion_ledger").to_pylist()
    errors = [
        f"{_shown(row)}: {row['read']} read, but {row['accepted']} accepted, {row['duplicate']} duplicate and "
        f"{row['rejected']} rejected"
        for row in ledger
        if row["read"] != row["accepted"] + row["duplicate"] + row["rejected"]
    ]
    removed = RemovedRows(root)
    return errors + [text for name in _COUNTED for text in _differences(root, name, ledger, removed)]


def _differences(root: Path, name: TableName, ledger: list[dict[str, Any]], removed: RemovedRows) -> list[str]:
    claimed = [sum(row[kind] - _removed(removed, kind, row) for kind in _COUNTED[name]) for row in ledger]
    files = pa.table(DeltaTable(table_path(root, name)).get_add_actions(flatten=True)).to_pylist()
    if any(file.get("num_records") is None for file in files):
        return [f"{name}: a file without statistics"]
    ranges = _Ranges(ledger)
    found: Counter[int] = Counter()
    merged = 0
    for file in files:
        row = ranges.of(file)
        if row is None:
            merged += file["num_records"]
        else:
            found[row] += file["num_records"]
    missing = [count - found[row] for row, count in enumerate(claimed)]
    errors = [
        f"{_shown(ledger[row])}: {claimed[row]} rows of {name} in the ledger, {found[row]} in its files"
        for row, count in enumerate(missing)
        if count < 0 or (count > 0 and merged == 0)
    ]
    if not errors and sum(missing) != merged:
        errors.append(f"{name}: {sum(claimed)} rows in the ledger, {sum(found.values()) + merged} in the table")
    return errors


def _removed(removed: RemovedRows, kind: str, row: dict[str, Any]) -> int:
    return removed.count(kind, (row["topic_id"], row["kafka_partition"]), row["from_offset"], row["to_offset"])


class _Ranges:
    """Finds the row of the ledger within whose range a file lies."""

    def __init__(self, ledger: list[dict[str, Any]]) -> None:
        by_partition: dict[tuple[str, int], list[int]] = {}
        for number, row in enumerate(ledger):
            by_partition.setdefault((row["topic_id"], row["kafka_partition"]), []).append(number)
        self._ledger = ledger
        self._rows = {
            place: sorted(numbers, key=lambda number: (ledger[number]["from_offset"], ledger[number]["to_offset"]))
            for place, numbers in by_partition.items()
        }
        self._starts = {
            place: np.array([ledger[number]["from_offset"] for number in numbers])
            for place, numbers in self._rows.items()
        }

    def of(self, file: dict[str, Any]) -> int | None:
        """Number of the ledger's row; None if the file lies in none or in several."""
        low: list[Any] = [file.get(f"min.{name}") for name in _PLACE]
        high: list[Any] = [file.get(f"max.{name}") for name in _PLACE]
        place = (low[0], low[1])
        if None in low or None in high or low[:2] != high[:2] or place not in self._rows:
            return None
        index = int(np.searchsorted(self._starts[place], low[2], "right")) - 1
        if index < 0:
            return None
        number = self._rows[place][index]
        return number if high[2] < self._ledger[number]["to_offset"] else None


def _shown(row: dict[str, Any]) -> str:
    return (
        f"topic id {row['topic_id']}, partition {row['kafka_partition']}, "
        f"offsets {row['from_offset']} to {row['to_offset'] - 1}"
    )
