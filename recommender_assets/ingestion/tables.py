"""Where all Delta tables are, and reading and writing them without a JVM."""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from pyarrow.fs import FileSystem, SubTreeFileSystem

from recommender_assets.ingestion.schemas import SCHEMAS, TableName

if TYPE_CHECKING:
    from pyarrow.dataset import FileSystemDataset  # imports pandas

# delta-rs refuses to read tables with deletion vectors.
_PROPERTIES = {"delta.enableDeletionVectors": "false"}


def table_path(root: Path, name: TableName) -> str:
    """Where the table `name` lives below the storage root."""
    return str(root / "tables" / name)


def create_tables(root: Path) -> None:
    """Create every table that does not exist yet, and give existing ones the columns that they lack."""
    for name in SCHEMAS:
        create_table(root, name)


def create_table(root: Path, name: TableName) -> None:
    """Create one table if it does not exist yet, else give it the columns that it lacks.

    A new column changes no file: older rows read as null, and a program of an older version goes on reading the
    columns that it knows, ingesting events and taking care of the tables. So a column in `SCHEMAS` is never renamed,
    retyped or required, and a new one is optional and comes at the end.
    """
    try:
        _create_or_widen(root, name)
    except CommitFailedError:  # another process did the same at the same moment; now it finds what it wants
        _create_or_widen(root, name)


def _create_or_widen(root: Path, name: TableName) -> None:
    path, schema = table_path(root, name), SCHEMAS[name]
    if not DeltaTable.is_deltatable(path):
        once = CommitProperties(max_commit_retries=0)  # a second try would describe the table of another process anew
        DeltaTable.create(path, schema, mode="ignore", name=name, configuration=_PROPERTIES, commit_properties=once)
        return
    table = DeltaTable(path)
    there = {field.name for field in table.schema().fields}
    if new := [field for field in schema if field.name not in there]:
        table.alter.add_columns(DeltaSchema.from_arrow(pa.schema(new)).fields)


def append_to_table(table: str | DeltaTable, rows: pa.Table, commit_properties: CommitProperties | None = None) -> None:
    """Add rows to a table; a column that only a newer program knows is null in them.

    Args:
        table: its path, or the state of it that the rows follow on.
        rows: with the columns of `SCHEMAS`.
        commit_properties: what else the commit says.
    """
    write_deltalake(table, rows, mode="append", schema_mode="merge", commit_properties=commit_properties)


def replace_in_table(
    table: str | DeltaTable,
    rows: pa.Table,
    predicate: str | None = None,
    commit_properties: CommitProperties | None = None,
) -> None:
    """Replace the rows of a table; a column that only a newer program knows stays, and is null in the new rows.

    Args:
        table: its path, or the state of it that the rows follow on.
        rows: with the columns of `SCHEMAS`.
        predicate: SQL condition of the rows that are replaced; None = all.
        commit_properties: what else the commit says.
    """
    write_deltalake(
        table, rows, mode="overwrite", schema_mode="merge", predicate=predicate, commit_properties=commit_properties
    )


def read_table(
    root: Path,
    name: TableName,
    columns: list[str] | None = None,
    condition: pc.Expression | None = None,
    version: int | None = None,
) -> pa.Table:
    """Read a table with the columns and types of `SCHEMAS`.

    Args:
        root: the storage root.
        name: which table.
        columns: the wanted columns in this order; None = all.
        condition: keep only rows for which this Arrow expression holds; skips files by their statistics.
        version: an older version of the table; None = the latest.

    Raises:
        TableNotFoundError: the table was never created (`recommender init-tables`).
    """
    schema = SCHEMAS[name]
    names = schema.names if columns is None else columns
    wanted = pa.schema([schema.field(column) for column in names])
    return open_dataset(root, name, version).to_table(columns=names, filter=condition).cast(wanted)


def open_dataset(root: Path, name: TableName, version: int | None = None) -> "FileSystemDataset":
    """A version of a table as an Arrow dataset, one fragment for each file with its statistics."""
    path = table_path(root, name)
    return DeltaTable(path, version=version).to_pyarrow_dataset(filesystem=filesystem_of(path))


def filesystem_of(path: str) -> SubTreeFileSystem:
    """Arrow's file system of a table: with delta-rs's own, Arrow's threads may abort the process at its exit."""
    filesystem, base = FileSystem.from_uri(path)
    return SubTreeFileSystem(base, filesystem)


def table_version(root: Path, name: TableName) -> int | None:
    """Latest version of a table; None when it was never created."""
    try:
        return int(DeltaTable(table_path(root, name)).version())
    except TableNotFoundError:
        return None
