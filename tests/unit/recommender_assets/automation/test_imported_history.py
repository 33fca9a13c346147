import time
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from recommender_assets.automation.imported_history import imported_history, rows_at_version
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path


def rows(count: int) -> pa.Table:
    schema = SCHEMAS["interaction_history"]
    return pa.table({field.name: pa.nulls(count, field.type) for field in schema}, schema=schema)


def test_nothing_was_imported(tmp_path: Path) -> None:
    assert imported_history(tmp_path) is None
    create_tables(tmp_path)
    assert imported_history(tmp_path) is None


def test_rows_and_time_of_the_latest_import(tmp_path: Path) -> None:
    create_tables(tmp_path)
    before = time.time()
    for count in (3, 4):
        write_deltalake(table_path(tmp_path, "interaction_history"), rows(count), mode="append")
    found = imported_history(tmp_path)
    assert found is not None
    assert found.rows == 7
    assert before - 0.01 <= found.committed_at <= time.time() + 0.01


def test_rows_of_an_earlier_version(tmp_path: Path) -> None:
    create_tables(tmp_path)
    for count in (3, 4):
        write_deltalake(table_path(tmp_path, "interaction_history"), rows(count), mode="append")
    assert [rows_at_version(tmp_path, version) for version in (None, 0, 1, 2, 99)] == [0, 0, 3, 7, None]
