"""Reads the configured past as it is: one row of text columns for each row of the source."""

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import StringType, StructField, StructType, TimestampNTZType, TimestampType

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.history_rows import FIELDS, MALFORMED, SOURCE_ROW
from recommender_assets.settings import HistoryColumns, HistorySettings, Settings

_RFC_3339 = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"


class HistorySourceError(ValueError):
    """The source of the history cannot be read; the message names the setting and what is there instead."""


def source_rows(spark: SparkSession, settings: Settings) -> DataFrame:
    """The source's rows: the fields of an event as text (null where there is none), and the whole row as JSON.

    Nothing is judged here. A CSV row with too few or too many values carries its text in the column `MALFORMED`.

    Raises:
        HistorySourceError: the path cannot be read, or a column of `history.columns` is not there.
    """
    history = settings.history
    if history.source == "movielens":
        return _as_text(spark.createDataFrame(_movielens(history)), HistoryColumns())
    try:
        rows = _csv(spark, history) if history.source == "csv" else spark.read.parquet(history.path)
    except Exception as error:  # Spark's classes of errors depend on how it was started
        first_line = str(error).splitlines()[0]
        raise HistorySourceError(
            f"history.path: cannot read {history.path!r} as {history.source}: {first_line}"
        ) from error
    return _as_text(rows, history.columns)


def _movielens(history: HistorySettings) -> pa.Table:
    ratings = sources.ratings()
    return ratings.filter((pc.field("timestamp") >= history.start) & (pc.field("timestamp") < history.end))


def _csv(spark: SparkSession, history: HistorySettings) -> DataFrame:
    # Everything is read as text: what is a number is for the decoder to judge.
    options = {"header": "true", "sep": history.delimiter, "quote": '"', "escape": '"', "encoding": "UTF-8"}
    names = spark.read.options(**options).csv(history.path).columns
    fields = [StructField(name, StringType()) for name in [*names, MALFORMED]]
    options |= {"columnNameOfCorruptRecord": MALFORMED, "mode": "PERMISSIVE", "enforceSchema": "false"}
    return spark.read.options(**options).schema(StructType(fields)).csv(history.path)


def _as_text(rows: DataFrame, columns: HistoryColumns) -> DataFrame:
    named = {field: getattr(columns, field) for field in FIELDS}
    missing = {field: name for field, name in named.items() if name and name not in rows.columns}
    if missing:
        there = ", ".join(name for name in rows.columns if name != MALFORMED)
        wanted = ", ".join(f"history.columns.{field}: {name!r}" for field, name in missing.items())
        raise HistorySourceError(f"{wanted}: no such column, the source has {there}")
    fields = [(_text(rows, name) if name else F.lit(None).cast("string")).alias(field) for field, name in named.items()]
    malformed = F.col(f"`{MALFORMED}`") if MALFORMED in rows.columns else F.lit(None).cast("string")
    plain = [_text(rows, name).alias(name) for name in rows.columns if name != MALFORMED]
    whole = F.to_json(F.struct(*plain), {"ignoreNullFields": "false"})
    return rows.select(*fields, malformed.alias(MALFORMED), F.coalesce(malformed, whole).alias(SOURCE_ROW))


def _text(rows: DataFrame, name: str) -> Column:
    column, kind = F.col(f"`{name}`"), rows.schema[name].dataType
    if isinstance(kind, TimestampType | TimestampNTZType):  # without a zone: the session's, which is UTC
        return F.date_format(column.cast("timestamp"), _RFC_3339)
    return column.cast("string")
