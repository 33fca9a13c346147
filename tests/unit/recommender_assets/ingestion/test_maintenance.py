import datetime as dt
import os
import time
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from recommender_assets.ingestion import expiry
from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.expiry import Expiry, expire
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from recommender_assets.ingestion.maintenance import maintain
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, read_table, table_path
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.settings import MaintenanceSettings, Settings

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def settings(project_settings: Settings, tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return msgspec.structs.replace(
        project_settings, storage=msgspec.structs.replace(project_settings.storage, root=str(tmp_path))
    )


def append(settings: Settings, name: TableName, rows: list[dict[str, object]]) -> None:
    write_deltalake(table_path(settings.root, name), pa.Table.from_pylist(rows, schema=SCHEMAS[name]), mode="append")


def ingest(settings: Settings, days_ago: list[int], kind: str = "rating") -> None:
    """A micro-batch: an event for each age, and after it a duplicate and a rejected record of the same age."""
    ledger = read_table(settings.root, "ingestion_ledger", ["to_offset"])["to_offset"].to_pylist()
    start = max(ledger, default=0)
    accepted, rejected = [], []
    for number, age in enumerate(days_ago):
        moment = NOW - dt.timedelta(days=age)
        place = {"topic_id": "t", "kafka_partition": 0, "ingested_at": NOW}
        offset = start + 3 * number
        event = {"user_id": f"u{offset}", "item_id": None if kind == "forget" else "i", "event_type": kind}
        accepted.append(event | {"timestamp": moment, "event_key": offset} | place | {"kafka_offset": offset})
        for further, reason in ((1, "duplicate"), (2, "wrong_type")):
            record = {"reason": reason, "value": b"{}", "kafka_timestamp": moment, "kafka_offset": offset + further}
            rejected.append(record | place)
    append(settings, "interactions", accepted)
    append(settings, "rejected_events", rejected)
    count = len(days_ago)
    rows = [LedgerRow(0, start, start + 3 * count, count, count, count)]
    append_rows(settings.root, settings.streaming.topic, "t", rows)


def assert_proven(settings: Settings) -> None:
    assert contiguity_gaps(settings.root) == []
    assert accounting_errors(settings.root) == []
    assert accounting_differences(settings.root) == []


def keeping(settings: Settings, days: int) -> Settings:
    return msgspec.structs.replace(settings, maintenance=MaintenanceSettings(keep_interactions_days=days))


def keeping_no_files(settings: Settings) -> Settings:
    """As if the retention were over."""
    care = MaintenanceSettings()
    msgspec.structs.force_setattr(care, "retention_hours", 0)
    return msgspec.structs.replace(settings, maintenance=care)


def test_expired_events_leave_and_the_ledger_goes_on_counting_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_ROWS_PER_PASS", 2)
    ingest(settings, [400, 1, 400])
    ingest(settings, [2, 401])
    event = {"user_id": "u", "item_id": "i", "event_type": "view", "event_key": 1}
    past = [event | {"timestamp": NOW - dt.timedelta(days=age)} for age in (1, 999)]
    append(settings, "interaction_history", past)
    due = expire(settings.root, NOW - dt.timedelta(days=365), dry_run=True)
    assert due == Expiry(interactions=3, rejected_events=6, history=1)
    assert read_table(settings.root, "interactions").num_rows == 5
    assert maintain(keeping(settings, 365)).expiry == due
    assert read_table(settings.root, "interactions").num_rows == 2
    assert read_table(settings.root, "rejected_events").num_rows == 4
    assert read_table(settings.root, "interaction_history").num_rows == 1
    assert_proven(settings)
    assert maintain(keeping(settings, 365)).expiry == Expiry()


def test_a_forget_never_expires(settings: Settings) -> None:
    ingest(settings, [400], kind="forget")
    maintain(keeping(settings, 1))
    assert read_table(settings.root, "interactions", ["event_type"]).to_pylist() == [{"event_type": "forget"}]


def test_without_a_limit_everything_is_kept(settings: Settings) -> None:
    ingest(settings, [9_999])
    assert maintain(settings).expiry == Expiry()
    assert read_table(settings.root, "interactions").num_rows == 1


def test_files_are_merged_and_old_ones_go_after_the_retention(settings: Settings) -> None:
    for _ in range(3):
        ingest(settings, [0, 1])
    rows = read_table(settings.root, "interactions").num_rows
    care = maintain(settings).tables["interactions"]
    assert (care.merged, care.written, care.removed) == (3, 1, 0)
    assert_proven(settings)
    assert maintain(settings).tables["interactions"].removed == 0
    assert maintain(keeping_no_files(settings), dry_run=True).tables["interactions"].removed == 3
    assert maintain(keeping_no_files(settings)).tables["interactions"].removed == 3
    assert len(list(Path(table_path(settings.root, "interactions")).glob("*.parquet"))) == 1
    assert read_table(settings.root, "interactions").num_rows == rows
    assert_proven(settings)


def test_a_file_that_no_commit_names_goes_too(settings: Settings) -> None:
    ingest(settings, [0])
    orphan = Path(table_path(settings.root, "interactions")) / "part-of-a-killed-worker.snappy.parquet"
    orphan.write_bytes(b"half a file")
    maintain(settings)
    assert orphan.exists(), "it may belong to a writer at work"
    os.utime(orphan, (time.time() - 169 * 3_600,) * 2)
    maintain(settings)
    assert not orphan.exists()
    assert read_table(settings.root, "interactions").num_rows == 1


def test_a_dry_run_changes_nothing_and_says_what_is_due(settings: Settings) -> None:
    for kind in ("rating", "forget"):
        ingest(settings, [400], kind=kind)
    versions = [DeltaTable(table_path(settings.root, name)).version() for name in SCHEMAS]
    due = maintain(keeping(settings, 365), dry_run=True)
    assert [DeltaTable(table_path(settings.root, name)).version() for name in SCHEMAS] == versions
    assert (due.erasure.users, due.expiry.interactions, due.tables["interactions"].merged) == (1, 1, 2)
    assert due.lines()[0].startswith("1 users forgotten")


def test_it_needs_the_writer_lease(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender_assets.ingestion.maintenance._WAIT_S", 0.1)
    with WriterLease(settings.root, "ingestion"), pytest.raises(WriterBusyError, match="ingestion"):
        maintain(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"retention_hours": 0}, "retention_hours must be at least 1, got 0"),
        ({"keep_interactions_days": -1}, "keep_interactions_days must not be negative, got -1"),
        ({"schedule": "daily"}, "schedule must be a cron expression of five fields, got 'daily'"),
    ],
)
def test_settings_are_judged(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaintenanceSettings(**changes)
