"""A history from CSV and Parquet files, by real Spark: months, repeated imports, and every bad row kept."""

import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.sql import SparkSession

from recommender_assets.ingestion.history import import_history, months_of_source
from recommender_assets.ingestion.history_source import HistorySourceError
from recommender_assets.ingestion.tables import read_table
from recommender_assets.settings import HistoryColumns, HistorySettings, Settings

COLUMNS = HistoryColumns(user_id="userId", item_id="movie id", timestamp="rated_at", rating="stars")
JANUARY, FEBRUARY, MARCH = (dt.datetime(2020, month, 1, tzinfo=dt.UTC) for month in (1, 2, 3))
GOOD = [
    ("1", "10", "4.0", "2020-01-01T00:00:00Z"),
    ("2", "10", "3.5", "2020-01-31T23:59:59.999999Z"),
    ("1", "20", "5", "1580515200"),
    ("3", "20", "1", "2020-03-05T12:00:00+02:00"),
]
BAD = {
    "1,30,9,2020-01-05T00:00:00Z": "rating_out_of_scale",
    "1,30,3,last summer": "invalid_timestamp",
    "1,,3,2020-01-05T00:00:00Z": "missing_field",
    "1,30,3": "malformed_row",
    "1,30,3,2020-01-05T00:00:00Z,more": "malformed_row",
}


@pytest.fixture
def source(settings: Settings, tmp_path: Path) -> Callable[..., Settings]:
    """Settings whose history is a file in the test's own folder, by name and content."""

    def described(name: str, content: bytes, **fields: Any) -> Settings:
        (tmp_path / name).write_bytes(content)
        kind = "parquet" if name.endswith("parquet") else "csv"
        months = {"first_month": "", "last_month": ""}
        history = HistorySettings(source=kind, path=str(tmp_path / name), columns=COLUMNS, **months, **fields)
        return msgspec.structs.replace(settings, history=history)

    return described


def csv_of(*rows: str) -> bytes:
    return "\n".join(["userId,movie id,stars,rated_at", *rows, ""]).encode()


def keys(settings: Settings) -> list[tuple[str, str]]:
    rows = read_table(settings.root, "interaction_history", ["user_id", "item_id"]).to_pylist()
    return sorted((row["user_id"], row["item_id"]) for row in rows)


def test_a_compressed_csv_is_imported_by_month_and_loses_nothing(
    spark: SparkSession, source: Callable[..., Settings]
) -> None:
    rows = [",".join(row) for row in (*GOOD, GOOD[0])] + list(BAD)
    settings = source("ratings.csv.gz", gzip.compress(csv_of(*rows)))
    months = months_of_source(spark, settings)
    assert (months.first_month, months.last_month) == ("2020-01", "2020-03")

    january = import_history(spark, settings, JANUARY, FEBRUARY)
    assert (january.imported, january.duplicate, january.rejected, january.outside) == (2, 1, len(BAD), 2)
    february = import_history(spark, settings, FEBRUARY, MARCH)
    assert (february.imported, february.duplicate, february.rejected, february.outside) == (1, 0, len(BAD), 4)
    before = keys(settings), sorted(read_table(settings.root, "rejected_history", ["source_row"]).to_pylist(), key=str)
    assert import_history(spark, settings, JANUARY, FEBRUARY) == january
    rejected = read_table(settings.root, "rejected_history")
    assert before == (keys(settings), sorted(rejected.select(["source_row"]).to_pylist(), key=str))
    assert keys(settings) == [("1", "10"), ("1", "20"), ("2", "10")]

    reasons = sorted(rejected["reason"].to_pylist())
    assert reasons == sorted([*BAD.values(), "duplicate"])
    kept = rejected["source_row"].to_pylist()
    assert "1,30,3,2020-01-05T00:00:00Z,more" in kept
    assert '{"userId":"1","movie id":"30","stars":"9","rated_at":"2020-01-05T00:00:00Z"}' in kept
    assert all(rejected["detail"].to_pylist())


def test_a_month_that_became_empty_is_emptied(spark: SparkSession, source: Callable[..., Settings]) -> None:
    settings = source("ratings.csv", csv_of(*map(",".join, GOOD)))
    assert import_history(spark, settings, JANUARY, MARCH).imported == 3
    source("ratings.csv", csv_of(",".join(GOOD[2])))
    assert import_history(spark, settings, JANUARY, FEBRUARY).imported == 0
    assert keys(settings) == [("1", "20")]


def test_parquet_may_hold_numbers_and_times(
    spark: SparkSession, source: Callable[..., Settings], tmp_path: Path
) -> None:
    times = [JANUARY + dt.timedelta(days=day, microseconds=1) for day in (0, 31, 70)]
    table = pa.table(
        {
            "userId": pa.array([1, 2, 3], pa.int64()),
            "movie id": pa.array([10, None, 10], pa.int32()),
            "stars": pa.array([4.5, 4.0, 5.0], pa.float32()),
            "rated_at": pa.array(times, pa.timestamp("us", tz="UTC")),
        }
    )
    parquet.write_table(table, tmp_path / "any.parquet")
    settings = source("ratings.parquet", (tmp_path / "any.parquet").read_bytes())
    report = import_history(spark, settings, JANUARY, MARCH)
    assert (report.imported, report.rejected, report.outside) == (1, 1, 1)
    (row,) = read_table(settings.root, "interaction_history").to_pylist()
    assert (row["user_id"], row["item_id"], row["rating"], row["timestamp"]) == ("1", "10", 4.5, times[0])


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("ratings.csv", b"user,item\n1,2\n", r"history\.columns\.user_id: 'userId'.*the source has user, item"),
        ("ratings.parquet", b"this is no parquet file", r"history\.path: cannot read .*ratings\.parquet"),
    ],
)
def test_a_source_that_is_not_as_configured_is_named(
    spark: SparkSession, source: Callable[..., Settings], name: str, content: bytes, problem: str
) -> None:
    with pytest.raises(HistorySourceError, match=problem):
        import_history(spark, source(name, content), JANUARY, FEBRUARY)
