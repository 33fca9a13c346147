"""Rating sets for the benchmarks: the one that ships with the project, or a CSV file."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from recommender_assets.features.matrix import UserItemMatrix, matrix_of_events
from recommender_assets.ingestion.sources import films, ratings
from recommender_assets.ingestion.tables import SCHEMAS
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.manifest import Position


def rating_matrix(path: Path | None, weights: EventWeights) -> UserItemMatrix:
    """Matrix of a rating set.

    Args:
        path: CSV, plain or compressed, with columns `user_id`, `item_id`, `rating` and perhaps `timestamp` (epoch
            seconds); None = the 100,004 MovieLens ratings of dslabs.
        weights: strengths of ratings.
    """
    if path is None:
        table, items = ratings(), films()
    else:
        table, items = _read_csv(path), SCHEMAS["items"].empty_table()
    n = table.num_rows
    events = table.append_column("event_type", pa.array(["rating"] * n)).append_column(
        "event_key", pa.array(range(n), pa.int64())
    )
    lowest, highest = (float(value.as_py()) for value in pc.min_max(table["rating"]).values())
    return matrix_of_events(events, items, Position(), weights, RatingScale(min=lowest, max=highest))


def _read_csv(path: Path) -> pa.Table:
    options = csv.ConvertOptions(column_types={"user_id": pa.string(), "item_id": pa.string(), "rating": pa.float32()})
    table = csv.read_csv(path, convert_options=options)
    seconds = (
        table["timestamp"].cast(pa.int64()) if "timestamp" in table.column_names else pa.array([0] * table.num_rows)
    )
    micros = pc.multiply(seconds, 1_000_000).cast(pa.timestamp("us", tz="UTC"))
    return table.select(["user_id", "item_id", "rating"]).append_column("timestamp", micros)
