"""Rating sets outside the tables: the one that ships with the project, or a CSV or Parquet file."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from recommender_assets.features.matrix import UserItemMatrix, matrix_of_events
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.sources import films, ratings
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.manifest import Position

_TYPES = {"user_id": pa.string(), "item_id": pa.string(), "rating": pa.float32()}
_PARQUET_SUFFIXES = {".parquet", ".pq"}


class RatingFileError(ValueError):
    """A ratings file lacks a column or a value."""


def rating_matrix(path: Path | None, weights: EventWeights) -> UserItemMatrix:
    """Matrix of a rating set; its scale reaches from the lowest to the highest rating.

    Args:
        path: Parquet (`.parquet`, `.pq`) or CSV, plain or compressed, with columns `user_id`, `item_id`, `rating` and
            perhaps `timestamp` (epoch seconds, or Parquet's own); None = the 100,004 MovieLens ratings of dslabs.
        weights: strengths of ratings.

    Raises:
        RatingFileError: a column or a value is missing.
        EmptyMatrixError: there is no row.
    """
    if path is None:
        table, items = ratings(), films()
    else:
        table, items = _read(path), SCHEMAS["items"].empty_table()
    n = table.num_rows
    events = table.append_column("event_type", pa.array(["rating"] * n, pa.string())).append_column(
        "event_key", pa.array(range(n), pa.int64())
    )
    lowest, highest = (value.as_py() for value in pc.min_max(table["rating"]).values())
    scale = RatingScale(min=float(lowest), max=float(highest)) if n else RatingScale()
    return matrix_of_events(events, items, Position(), weights, scale)


def _read(path: Path) -> pa.Table:
    if path.suffix in _PARQUET_SUFFIXES:
        table = parquet.read_table(path)
    else:
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=_TYPES))
    if missing := [name for name in _TYPES if name not in table.column_names]:
        raise RatingFileError(f"{path}: no column {', '.join(missing)}; found {', '.join(table.column_names)}")
    columns = {name: table[name].cast(dtype) for name, dtype in _TYPES.items()}
    if empty := [name for name, column in columns.items() if column.null_count]:
        raise RatingFileError(f"{path}: rows without {', '.join(empty)}")
    if (row := pc.index(pc.is_finite(columns["rating"]), value=False).as_py()) >= 0:
        value = columns["rating"][row].as_py()
        raise RatingFileError(f"{path}: rating must be a finite number, got {value} in row {row + 1}")
    return pa.table({**columns, "timestamp": _instants(table)})


def _instants(table: pa.Table) -> pa.ChunkedArray:
    instant = pa.timestamp("us", tz="UTC")
    if "timestamp" not in table.column_names:
        return pa.chunked_array([pa.array([0] * table.num_rows, pa.int64()).cast(instant)])
    time = table["timestamp"]
    if pa.types.is_timestamp(time.type):
        return time.cast(pa.timestamp("us", tz=time.type.tz), safe=False).cast(instant)
    return pc.multiply(time.cast(pa.int64()), 1_000_000).cast(instant)
