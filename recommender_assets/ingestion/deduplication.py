"""Which events of a micro-batch were read before: equal `event_id` and `timestamp` mean the same event."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.tables import table_path

_IDENTITY = ["event_id", "timestamp"]


def repeated_in_batch(events: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows whose event occurs at a lower (`kafka_partition`, `kafka_offset`) of the same table.

    Args:
        events: `event_id`, `timestamp`, `kafka_partition`, `kafka_offset`, in any order.
    """
    order = pc.sort_indices(
        events, [(name, "ascending") for name in (*_IDENTITY, "kafka_partition", "kafka_offset")]
    ).to_numpy()
    ordered = events.select(_IDENTITY).take(order)
    is_same = np.ones(max(len(order) - 1, 0), dtype=np.bool_)
    for name in _IDENTITY:
        column = ordered[name].combine_chunks()
        is_same &= pc.equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    repeated = np.zeros(len(order), dtype=np.bool_)
    repeated[order[1:][is_same]] = True
    return repeated


def read_in_earlier_batches(events: DataFrame, root: Path, days: Iterable[dt.date]) -> pa.Table:
    """Positions (`kafka_partition`, `kafka_offset`) of events that table `interactions` holds already.

    Args:
        events: events of the micro-batch.
        root: the storage root.
        days: the event days that occur in `events`; only files with these are read.
    """
    days = sorted(days)
    positions = events.select(*_IDENTITY, "kafka_partition", "kafka_offset")
    if not _may_hold(root, days):
        return pa.table({"kafka_partition": pa.array([], pa.int32()), "kafka_offset": pa.array([], pa.int64())})
    interactions = events.sparkSession.read.format("delta").load(table_path(root, "interactions"))
    earlier = interactions.where(F.col("event_day").isin(days)).select(*_IDENTITY)
    return positions.join(earlier, _IDENTITY, "left_semi").select("kafka_partition", "kafka_offset").toArrow()


def _may_hold(root: Path, days: list[dt.date]) -> bool:
    """Whether some file of `interactions` may hold one of the days, by the files' statistics."""
    files = pa.table(DeltaTable(table_path(root, "interactions")).get_add_actions(flatten=True))
    if not days or files.num_rows == 0:
        return False
    if not {"min.event_day", "max.event_day"} <= set(files.column_names):
        return True
    ranges = zip(files["min.event_day"].to_pylist(), files["max.event_day"].to_pylist(), strict=True)
    wanted = np.array(days, dtype="datetime64[D]")
    return any(
        low is None
        or np.searchsorted(wanted, np.datetime64(low)) < np.searchsorted(wanted, np.datetime64(high), "right")
        for low, high in ranges
    )
