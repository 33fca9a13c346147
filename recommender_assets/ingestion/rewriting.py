"""Rewrites the files of a table that hold certain rows, in one commit, with the column types of `SCHEMAS`.

delta-rs's own delete, update and merge leave files whose strings Arrow reads as views, and Arrow cannot filter those by
their statistics.
"""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSystem

from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import filesystem_of, table_path

Change = Callable[[pa.Table], pa.Table]
_ROW_GROUP_ROWS = 131_072


def rewrite_files(
    root: Path,
    name: TableName,
    table: DeltaTable,
    condition: pc.Expression,
    change: Change,
    *,
    added: pa.Table | None = None,
    commit_properties: CommitProperties | None = None,
) -> int:
    """Replace each file that has rows for which a condition holds, unless the change keeps all of them.

    Args:
        root: the storage root.
        name: which table.
        table: the version to start from; if somebody else removed one of its files since, the commit fails.
        condition: says which files are rewritten; most are told apart by their statistics.
        change: all rows of such a file -> those of them to keep in its stead.
        added: further rows.
        commit_properties: of the commit, which is made even if nothing changes.

    Returns:
        Number of files that were replaced.

    Raises:
        CommitFailedError: another writer changed the same files; nothing was changed.
    """
    files = filesystem_of(table_path(root, name))
    dataset = table.to_pyarrow_dataset(filesystem=files)
    schema = _written_schema(name, dataset.schema)
    actions: list[AddAction | RemoveAction] = []
    replaced = 0
    for fragment in dataset.get_fragments(filter=condition):
        if not fragment.scanner(schema=dataset.schema, filter=condition).count_rows():
            continue
        rows = fragment.to_table(schema=dataset.schema).cast(schema)
        kept = change(rows)
        if kept.num_rows < rows.num_rows:
            actions.append(RemoveAction(fragment.path, data_change=True, deletion_timestamp=_now_ms()))
            actions += _write(files, kept)
            replaced += 1
    actions += _write(files, SCHEMAS[name].empty_table() if added is None else added)
    if actions or commit_properties:
        table.create_write_transaction(actions, "append", table.schema(), commit_properties=commit_properties)
    return replaced


def merge_files(root: Path, name: TableName, paths: Sequence[str], order: Sequence[str]) -> None:
    """Write the rows of some files as one file in one commit that changes no data.

    Args:
        root: the storage root.
        name: which table.
        paths: of the files, as the table names them.
        order: columns that the rows are sorted by.

    Raises:
        CommitFailedError: another writer removed one of the files; nothing was changed.
    """
    files, table = filesystem_of(table_path(root, name)), DeltaTable(table_path(root, name))
    dataset = table.to_pyarrow_dataset(filesystem=files)
    wanted = {unquote(path) for path in paths}
    fragments = [fragment for fragment in dataset.get_fragments() if unquote(fragment.path) in wanted]
    schema = _written_schema(name, dataset.schema)
    parts = [fragment.to_table(schema=dataset.schema).cast(schema) for fragment in fragments]
    rows = pa.concat_tables(parts).sort_by([(column, "ascending") for column in order])
    actions: list[AddAction | RemoveAction] = [
        RemoveAction(fragment.path, data_change=False, deletion_timestamp=_now_ms()) for fragment in fragments
    ]
    actions += _write(files, rows, data_change=False)
    table.create_write_transaction(actions, "append", table.schema())


def _written_schema(name: TableName, found: pa.Schema) -> pa.Schema:
    """Columns of a table with the types of `SCHEMAS`; a column that a newer version added keeps its own."""
    known = SCHEMAS[name]
    return pa.schema([known.field(field.name) if field.name in known.names else field for field in found])


def _write(files: FileSystem, rows: pa.Table, *, data_change: bool = True) -> list[AddAction]:
    """Write rows as one file that no commit names yet; none for no rows."""
    if not rows.num_rows:
        return []
    path = f"part-{uuid.uuid4()}.snappy.parquet"
    pq.write_table(rows, path, filesystem=files, compression="snappy", row_group_size=_ROW_GROUP_ROWS)
    return [AddAction(path, files.get_file_info(path).size, {}, _now_ms(), data_change, _statistics(rows))]


def _statistics(rows: pa.Table) -> str:
    """Delta's statistics of a file, for all columns with an order."""
    ordered = [name for name in rows.column_names if not pa.types.is_nested(rows[name].type)]
    ranges = {name: pc.min_max(rows[name]).as_py() for name in ordered if not pa.types.is_binary(rows[name].type)}
    known = {name: found for name, found in ranges.items() if found["min"] is not None}
    return json.dumps(
        {
            "numRecords": rows.num_rows,
            "minValues": {name: _plain(found["min"]) for name, found in known.items()},
            "maxValues": {name: _plain(found["max"]) for name, found in known.items()},
            "nullCount": {name: rows[name].null_count for name in ordered},
        }
    )


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _now_ms() -> int:
    return int(time.time() * 1_000)
