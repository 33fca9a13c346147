"""Imports a range of months of the configured past into `interaction_history`."""

import datetime as dt
from dataclasses import dataclass

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812

from recommender_assets.ingestion.erasure import erase_from_history, forgotten_users
from recommender_assets.ingestion.history_rows import SOURCE_ROW, decoded_rows
from recommender_assets.ingestion.history_source import source_rows
from recommender_assets.ingestion.month_range import HistoryRangeError, MonthRange
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.settings import Settings


@dataclass(frozen=True)
class HistoryImport:
    """What became of the source's rows.

    Attributes:
        imported: events inside the range.
        duplicate: rows inside the range whose event another row holds already.
        rejected: rows that are no event, of the whole source: they belong to no month.
        outside: events before or after the range.
    """

    imported: int
    duplicate: int
    rejected: int
    outside: int


def import_history(spark: SparkSession, settings: Settings, start: dt.datetime, end: dt.datetime) -> HistoryImport:
    """Write the source's events with `start <= timestamp < end` into `interaction_history`.

    Exactly that range of the table is replaced, so that an import can be repeated. Rows that break a rule, and repeated
    events, go to `rejected_history` with the row as it came and a reason; those without a valid time are replaced by
    every import. Equal user, item, type and time mean the same event: the first row by its text counts. Rows of users
    on the list of forgotten ones are left out altogether.

    Raises:
        HistorySourceError: the source cannot be read as configured.
    """
    create_tables(settings.root)
    within = f"timestamp >= '{start.isoformat()}' AND timestamp < '{end.isoformat()}'"
    rows = _without_forgotten(source_rows(spark, settings), settings)
    decoded = decoded_rows(rows, settings.ratings).persist(StorageLevel.MEMORY_AND_DISK)
    numbered = decoded.where(within).withColumn("repetition", _repetition()).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        events, repeated = numbered.where("repetition = 1"), _as_rejected(numbered.where("repetition > 1"))
        invalid = decoded.where("reason IS NOT NULL")
        rejected = invalid.unionByName(repeated.drop("repetition")).withColumn("imported_at", F.current_timestamp())
        _replace(events, settings, "interaction_history", within)
        _replace(rejected, settings, "rejected_history", f"timestamp IS NULL OR ({within})")
        erase_from_history(settings)  # of rows that name a forgotten user in another way, or were just forgotten
        imported, duplicate, n_invalid = events.count(), repeated.count(), invalid.count()
        outside = decoded.count() - n_invalid - imported - duplicate
        return HistoryImport(imported=imported, duplicate=duplicate, rejected=n_invalid, outside=outside)
    finally:
        numbered.unpersist()
        decoded.unpersist()


def months_of_source(spark: SparkSession, settings: Settings) -> MonthRange:
    """First and last month of the source's valid rows.

    Raises:
        HistoryRangeError: no row is valid.
        HistorySourceError: the source cannot be read as configured.
    """
    events = decoded_rows(source_rows(spark, settings), settings.ratings)
    row = events.agg(F.min("timestamp").alias("first"), F.max("timestamp").alias("last"))
    months = row.select(F.date_format("first", "yyyy-MM"), F.date_format("last", "yyyy-MM")).first()
    if months is None or months[0] is None:
        raise HistoryRangeError(f"history.path: {settings.history.path} holds no valid row, so it has no months")
    return MonthRange(first_month=months[0], last_month=months[1])


def _without_forgotten(rows: DataFrame, settings: Settings) -> DataFrame:
    users = forgotten_users(settings.root)
    if not len(users):
        return rows
    forgotten = rows.sparkSession.createDataFrame(pa.table({"user_id": users}))
    return rows.join(F.broadcast(forgotten), "user_id", "left_anti")


def _repetition() -> Column:
    return F.row_number().over(Window.partitionBy("event_id", "timestamp").orderBy(SOURCE_ROW))


def _as_rejected(repeated: DataFrame) -> DataFrame:
    detail = F.format_string("event_id: %s with this timestamp occurs in another row", "event_id")
    return repeated.withColumns({"reason": F.lit("duplicate"), "detail": detail})


def _replace(rows: DataFrame, settings: Settings, name: TableName, condition: str) -> None:
    (
        rows.select(*SCHEMAS[name].names)
        .write.format("delta")
        .mode("overwrite")
        .option("replaceWhere", condition)
        .save(table_path(settings.root, name))
    )
