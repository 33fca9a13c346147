"""OPTIMIZE: many small files of a table become few, laid out for both kinds of reader.

Neighbours in time are merged, so a file covers a narrow range of time and readers by time (deduplication, retention)
skip files. Within a file rows are sorted by user, so readers by user (profiles, forgetting) skip row groups.
No row changes, and readers of an older version go on reading its files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from recommender_assets.ingestion.rewriting import merge_files
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import table_path

TARGET_ROWS = 2_000_000
TARGET_BYTES = 128 << 20


@dataclass(frozen=True)
class Layout:
    """Column by which files follow each other, and columns by which rows are sorted within a file."""

    files: str
    rows: tuple[str, ...]


_POSITION = ("topic_id", "kafka_partition", "kafka_offset")
LAYOUTS: dict[TableName, Layout] = {
    "interactions": Layout("timestamp", ("user_id", "timestamp")),
    "rejected_events": Layout("ingested_at", _POSITION),
    "ingestion_ledger": Layout("committed_at", ("committed_at", "kafka_partition")),
    "removed_rows": Layout("removal", ("kind", "topic_id", "kafka_partition", "from_offset")),
    "forgotten_users": Layout("forgotten_at", ("user_id",)),
    "interaction_history": Layout("timestamp", ("user_id", "timestamp")),
    "rejected_history": Layout("timestamp", ("timestamp",)),
}
"""Other tables are laid out by their first column."""


@dataclass(frozen=True)
class Compaction:
    """Files that were merged, and files that they became."""

    merged: int = 0
    written: int = 0


def compact(root: Path, name: TableName, *, dry_run: bool = False) -> Compaction:
    """Merge the small files of a table, one commit for each file that is written.

    Args:
        root: the storage root.
        name: which table.
        dry_run: only say what would be done.

    Raises:
        CommitFailedError: another writer removed some of the files meanwhile; what was committed before stays.
    """
    first = SCHEMAS[name].names[0]
    layout = LAYOUTS.get(name, Layout(first, (first,)))
    merged = written = 0
    for paths in groups(pa.table(DeltaTable(table_path(root, name)).get_add_actions(flatten=True)), layout):
        if not dry_run:
            merge_files(root, name, paths, layout.rows)
        merged += len(paths)
        written += 1
    return Compaction(merged, written)


def groups(files: pa.Table, layout: Layout) -> Iterator[list[str]]:
    """Paths of files that should become one: neighbours that together stay below the targets.

    A file of at least half a target is left alone, so that no row is written again and again.

    Args:
        files: `DeltaTable.get_add_actions(flatten=True)`.
        layout: of the table.
    """
    small = [file for file in files.to_pylist() if not _is_large(file)]
    group: list[str] = []
    rows = size = 0
    for file in sorted(small, key=lambda file: _place(file.get(f"min.{layout.files}"))):
        if group and (rows + file["num_records"] > TARGET_ROWS or size + file["size_bytes"] > TARGET_BYTES):
            if len(group) > 1:
                yield group
            group, rows, size = [], 0, 0
        group.append(file["path"])
        rows, size = rows + file["num_records"], size + file["size_bytes"]
    if len(group) > 1:
        yield group


def _is_large(file: dict[str, Any]) -> bool:
    return bool(file["num_records"] > TARGET_ROWS // 2 or file["size_bytes"] > TARGET_BYTES // 2)


def _place(lowest: Any) -> tuple[bool, Any]:
    """Sorts files without the statistic, as those whose times are all null, first."""
    return (lowest is not None, lowest)
