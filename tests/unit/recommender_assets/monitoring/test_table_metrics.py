import datetime as dt
import shutil
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.monitoring.table_metrics import BATCHES, LAST_COMMIT, RECORDS, REJECTED, TableMetrics
from recommender_assets.settings import Settings
from recommender_serving.engine.config import StorageSettings

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def settings_in(project_settings: Settings, root: Path) -> Settings:
    return msgspec.structs.replace(project_settings, storage=StorageSettings(root=str(root)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


@pytest.fixture
def metrics(project_settings: Settings, root: Path) -> TableMetrics:
    return TableMetrics(settings_in(project_settings, root))


def commit(root: Path, second: int, *rows: LedgerRow, topic: str = "user_interactions") -> None:
    append_rows(root, topic, "id", list(rows), committed_at=NOON + dt.timedelta(seconds=second, microseconds=7))


def reject(root: Path, second: int, *reasons: str) -> None:
    moment = NOON + dt.timedelta(seconds=second, microseconds=7)
    rows = [{"reason": reason, "ingested_at": moment} for reason in reasons]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["rejected_events"])
    write_deltalake(table_path(root, "rejected_events"), table, mode="append")


def test_before_the_first_batch_everything_is_zero_and_no_time_is_known(metrics: TableMetrics) -> None:
    readings = metrics.read()
    assert set(readings[RECORDS].values()) == {0}
    assert (readings[REJECTED], readings[BATCHES]) == ({}, {(): 0})
    assert LAST_COMMIT not in readings


def test_what_became_of_the_records_is_counted_over_partitions_and_readings(metrics: TableMetrics, root: Path) -> None:
    commit(root, 0, LedgerRow(0, 0, 9, 5, 3, 1), LedgerRow(1, 0, 4, 4))
    metrics.read()
    commit(root, 10, LedgerRow(0, 9, 11, 1, 0, 1))
    commit(root, 20, LedgerRow(0, 11, 15, lost=4, status="lost"))
    commit(root, 30, LedgerRow(0, 0, 99, 99), topic="another")
    readings = metrics.read()
    assert readings[RECORDS] == {("accepted",): 10, ("duplicate",): 3, ("rejected",): 2, ("lost",): 4}
    assert readings[BATCHES] == {(): 2}
    assert readings[LAST_COMMIT] == {(): (NOON + dt.timedelta(seconds=20, microseconds=7)).timestamp()}
    assert metrics.read() == readings


def test_rejected_records_are_counted_by_reason_once(metrics: TableMetrics, root: Path) -> None:
    reject(root, 0, "duplicate", "invalid_json", "invalid_json")
    commit(root, 0, LedgerRow(0, 0, 3, 0, 1, 2))
    assert metrics.read()[REJECTED] == {("duplicate",): 1, ("invalid_json",): 2}
    reject(root, 10, "invalid_json")
    commit(root, 10, LedgerRow(0, 3, 4, 0, 0, 1))
    for _ in range(2):
        assert metrics.read()[REJECTED] == {("duplicate",): 1, ("invalid_json",): 3}


def test_rows_that_the_ledger_does_not_cover_yet_may_be_taken_back_and_do_not_count(
    metrics: TableMetrics, root: Path
) -> None:
    commit(root, 0, LedgerRow(0, 0, 1, 1))
    reject(root, 10, "invalid_json")
    assert metrics.read()[REJECTED] == {}
    commit(root, 10, LedgerRow(0, 1, 2, 0, 0, 1))
    assert metrics.read()[REJECTED] == {("invalid_json",): 1}


def test_without_tables_the_reading_fails(project_settings: Settings, tmp_path: Path) -> None:
    metrics = TableMetrics(settings_in(project_settings, tmp_path))
    assert metrics.read()[BATCHES] == {(): 0}  # the ledger does not exist yet: nothing was read
    append = LedgerRow(0, 0, 1, 1)
    create_tables(tmp_path)
    commit(tmp_path, 0, append)
    assert metrics.read()[BATCHES] == {(): 1}


def test_tables_made_anew_are_counted_from_zero(metrics: TableMetrics, root: Path) -> None:
    for number in range(2):
        commit(root, number, LedgerRow(0, number, number + 1, 0, 0, 1))
    reject(root, 0, "invalid_json")
    assert metrics.read()[REJECTED] == {("invalid_json",): 1}
    for name in ("ingestion_ledger", "rejected_events"):
        shutil.rmtree(table_path(root, name))
    create_tables(root)
    commit(root, 5, LedgerRow(0, 0, 7, 7))
    readings = metrics.read()
    assert readings[RECORDS][("accepted",)] == 7
    assert readings[RECORDS][("rejected",)] == 0
    assert readings[REJECTED] == {}


@settings(max_examples=8)
@given(batches=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), min_size=1, max_size=6))
def test_reading_often_or_once_gives_the_same(
    project_settings: Settings, tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[int, int, bool]]
) -> None:
    root = tmp_path_factory.mktemp("tables")
    create_tables(root)
    often = TableMetrics(settings_in(project_settings, root))
    offset = 0
    for second, (accepted, rejected, is_read) in enumerate(batches):
        if rejected:
            reject(root, second, *["invalid_json"] * rejected)
        commit(root, second, LedgerRow(0, offset, offset + accepted + rejected, accepted, 0, rejected))
        offset += accepted + rejected
        if is_read:
            often.read()
    assert often.read() == TableMetrics(settings_in(project_settings, root)).read()
    assert sum(often.read()[REJECTED].values()) == often.read()[RECORDS][("rejected",)]
