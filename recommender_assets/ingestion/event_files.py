"""Parquet files of a micro-batch, written by Spark's Python workers straight from Arrow.

A file is no part of its table until the driver commits it, so a task that fails, or runs twice, leaves no row behind.
What a worker hands back is small: the file's name, size and statistics, and the identity of each of its rows.
"""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import table_path

IDENTITY = np.dtype([("kafka_partition", "<i4"), ("kafka_offset", "<i8"), ("event_key", "<i8"), ("timestamp", "<i8")])
"""Where a record stood and which event it is; key and time are 0 for a record that is no event."""

FILE_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("path", pa.string()),
        ("size", pa.int64()),
        ("stats", pa.string()),
        ("identities", pa.binary()),
    ]
)
"""A written file as workers report it: name below its table, bytes, Delta statistics, `IDENTITY` of each row."""

_ROW_GROUP_ROWS = 131_072
_ROW_GROUP_BYTES = 64 << 20
_NOT_REPEATED = {"event_id", "event_key", "kafka_offset", "value"}  # a dictionary of these would only cost


@dataclass(frozen=True)
class WrittenFile:
    """A file of `table` that is not committed yet."""

    table: TableName
    path: str
    size: int
    stats: str
    identities: npt.NDArray[np.void]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "WrittenFile":
        """From a row of `FILE_SCHEMA`."""
        of_all_rows = np.frombuffer(row["identities"], IDENTITY)
        return cls(row["table"], row["path"], row["size"], row["stats"], of_all_rows)


class EventFile:
    """One Parquet file of a table, made at the first row and removed again when writing it fails.

    Args:
        root: the storage root.
        name: the table.
        constants: columns that have the same value in every row.
    """

    def __init__(self, root: Path, name: TableName, constants: dict[str, Any]) -> None:
        self._name = name
        self._schema = SCHEMAS[name]
        self._constants = constants
        self._path = f"part-{uuid.uuid4()}.snappy.parquet"
        self._filesystem, folder = FileSystem.from_uri(table_path(root, name))
        self._full_path = f"{folder}/{self._path}"
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._identities: list[npt.NDArray[np.void]] = []
        self._ranges: dict[str, tuple[Any, Any]] = {}
        self._nulls: dict[str, int] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows; columns that the table does not have are left out."""
        if rows.num_rows == 0:
            return
        columns = [self._column(rows, field) for field in self._schema]
        complete = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._identities.append(identities(complete))
        self._widen_ranges(complete)
        self._waiting.append(complete)
        waits_long = sum(batch.num_rows for batch in self._waiting) >= _ROW_GROUP_ROWS
        if waits_long or sum(batch.nbytes for batch in self._waiting) >= _ROW_GROUP_BYTES:
            self._write_row_group()

    def close(self) -> Iterator[dict[str, Any]]:
        """Finish the file and yield its row of `FILE_SCHEMA`; nothing if no row was added."""
        if not self._identities:
            return
        self._write_row_group()
        if self._writer is not None:
            self._writer.close()
        of_all_rows = np.concatenate(self._identities)
        yield {
            "table": self._name,
            "path": self._path,
            "size": self._filesystem.get_file_info(self._full_path).size,
            "stats": self._statistics(len(of_all_rows)),
            "identities": of_all_rows.tobytes(),
        }

    def discard(self) -> None:
        """Remove what was written: a disk that is full must not stay full of files that no table knows."""
        if self._writer is not None:
            with contextlib.suppress(OSError, pa.ArrowException):  # the error that led here is the one to show
                self._writer.close()
            self._filesystem.delete_file(self._full_path)

    def _column(self, rows: pa.RecordBatch, field: pa.Field) -> pa.Array:
        if field.name in self._constants:
            return pa.repeat(pa.scalar(self._constants[field.name], field.type), rows.num_rows)
        return rows.column(field.name)

    def _write_row_group(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            repeated = [name for name in self._schema.names if name not in _NOT_REPEATED]
            self._writer = pq.ParquetWriter(
                self._full_path,
                self._schema,
                filesystem=self._filesystem,
                compression="snappy",
                use_dictionary=repeated,
            )
        waiting, self._waiting = self._waiting, []
        self._writer.write_table(pa.Table.from_batches(waiting), row_group_size=_ROW_GROUP_ROWS)

    def _widen_ranges(self, rows: pa.RecordBatch) -> None:
        for name, column in zip(self._schema.names, rows.columns, strict=True):
            self._nulls[name] = self._nulls.get(name, 0) + column.null_count
            if pa.types.is_binary(column.type) or column.null_count == len(column):
                continue
            found = pc.min_max(column).as_py()
            low, high = self._ranges.get(name, (found["min"], found["max"]))
            self._ranges[name] = (min(low, found["min"]), max(high, found["max"]))

    def _statistics(self, rows: int) -> str:
        return json.dumps(
            {
                "numRecords": rows,
                "minValues": {name: _plain(low) for name, (low, _) in self._ranges.items()},
                "maxValues": {name: _plain(high) for name, (_, high) in self._ranges.items()},
                "nullCount": self._nulls,
            }
        )


def writing(
    root: Path,
    constants: dict[str, Any],
    split: Callable[[pa.RecordBatch], Iterable[tuple[TableName, pa.RecordBatch]]],
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `mapInArrow` that writes at most one file of each table and returns rows of `FILE_SCHEMA`.

    Args:
        root: the storage root.
        constants: columns that have the same value in every row.
        split: turns the rows of a batch into rows of tables.
    """

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        files: dict[TableName, EventFile] = {}
        try:
            for batch in batches:
                for name, rows in split(batch):
                    files.setdefault(name, EventFile(root, name, constants)).add(rows)
            written = [row for file in files.values() for row in file.close()]
        except BaseException:
            for file in files.values():
                file.discard()
            raise
        yield pa.RecordBatch.from_pylist(written, schema=FILE_SCHEMA)

    return write


def read_columns(root: Path, name: TableName, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a file of a table, committed or not, in batches."""
    filesystem, folder = FileSystem.from_uri(table_path(root, name))
    # Spark writes INT96; read as nanoseconds, years before 1677 would wrap around.
    options = {"coerce_int96_timestamp_unit": "us"}
    with pq.ParquetFile(f"{folder}/{unquote(path)}", filesystem=filesystem, **options) as file:
        yield from file.iter_batches(_ROW_GROUP_ROWS, columns=columns)


def remove_event_file(root: Path, name: TableName, path: str) -> None:
    """Remove a file that was never committed."""
    filesystem, folder = FileSystem.from_uri(table_path(root, name))
    filesystem.delete_file(f"{folder}/{path}")


def identities(rows: pa.RecordBatch) -> npt.NDArray[np.void]:
    """`IDENTITY` of each row, of the columns that there are."""
    result = np.zeros(rows.num_rows, IDENTITY)
    for name in IDENTITY.names or ():
        if name in rows.schema.names:
            column = rows.column(name)
            if name == "timestamp":
                column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            result[name] = column.to_numpy()
    return result


def _plain(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value
