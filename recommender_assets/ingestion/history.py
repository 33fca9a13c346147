import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.tables import SCHEMAS, create_tables, table_path
from recommender_assets.settings import Settings
from recommender_serving.engine.events import derived_event_id, event_key


def import_history(spark: SparkSession, settings: Settings, start: dt.datetime, end: dt.datetime) -> int:
    """Write the source's ratings with `start <= timestamp < end` into `interaction_history`.

    Exactly that range of the table is replaced, so that an import can be repeated.

    Returns:
        Number of rows in the range.
    """
    create_tables(settings.root)
    rows = history_rows(start, end)
    (
        spark.createDataFrame(rows)
        .coalesce(1)
        .write.format("delta")
        .mode("overwrite")
        .option("replaceWhere", f"timestamp >= '{start.isoformat()}' AND timestamp < '{end.isoformat()}'")
        .save(table_path(settings.root, "interaction_history"))
    )
    return int(rows.num_rows)


def history_rows(start: dt.datetime, end: dt.datetime) -> pa.Table:
    """The source's ratings with `start <= timestamp < end` as events with derived ids."""
    rows = sources.ratings().filter((pc.field("timestamp") >= start) & (pc.field("timestamp") < end))
    users, items, times = (rows[name] for name in ("user_id", "item_id", "timestamp"))
    event_ids = [
        derived_event_id(user, item, "rating", time)
        for user, item, time in zip(
            users.to_pylist(), items.to_pylist(), times.cast(pa.int64()).to_pylist(), strict=True
        )
    ]
    return pa.table(
        {
            "user_id": users,
            "item_id": items,
            "event_type": pa.repeat("rating", rows.num_rows),
            "rating": rows["rating"],
            "timestamp": times,
            "event_id": event_ids,
            "event_key": [event_key(event_id) for event_id in event_ids],
        },
        schema=SCHEMAS["interaction_history"],
    )
