import datetime as dt
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recommender_assets.ingestion import commits
from recommender_assets.ingestion.commits import (
    LedgerRow,
    append_rows,
    commit_files,
    latest_commit_time,
    next_commit_time,
    remove_uncommitted,
    uncommitted,
)
from recommender_assets.ingestion.event_files import EventFile, WrittenFile
from recommender_assets.ingestion.ledger import ledger_position
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, read_table, table_path, table_version

UNCOMMITTED = CommitProperties(app_transactions=[Transaction("ingestion", 2**62)])
"""As a batch leaves it whose ledger row was never written."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def add_interactions(root: Path, *records: tuple[str, int, int]) -> None:
    rows = [dict(zip(("topic_id", "kafka_partition", "kafka_offset"), record, strict=True)) for record in records]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["interactions"])
    write_deltalake(table_path(root, "interactions"), table, mode="append", commit_properties=UNCOMMITTED)


def records(root: Path) -> set[tuple[str, int, int]]:
    rows = read_table(root, "interactions").to_pylist()
    return {(row["topic_id"], row["kafka_partition"], row["kafka_offset"]) for row in rows}


def test_a_row_counts_what_was_read_and_says_where_it_came_from(root: Path) -> None:
    row = LedgerRow(1, 10, 20, accepted=3, duplicate=2, rejected=1)
    append_rows(root, "events", "id", [row], generation="g", batch_id=4)
    stored = read_table(root, "ingestion_ledger").to_pylist()[0]
    assert stored.pop("committed_at").tzinfo is not None
    assert stored == {
        "generation": "g",
        "batch_id": 4,
        "topic": "events",
        "topic_id": "id",
        "kafka_partition": 1,
        "from_offset": 10,
        "to_offset": 20,
        "read": 6,
        "accepted": 3,
        "duplicate": 2,
        "rejected": 1,
        "lost": 0,
        "status": "read",
    }


def test_the_order_of_rows_survives_a_clock_that_is_set_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StoppedClock(dt.datetime):
        moment = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)

        @classmethod
        def now(cls, *_: object) -> dt.datetime:
            cls.moment -= dt.timedelta(hours=1)
            return cls.moment

    monkeypatch.setattr(commits.dt, "datetime", StoppedClock)
    for start in (0, 5, 9):
        append_rows(root, "events", "id", [LedgerRow(0, start, start + 1)])
    assert ledger_position(root, "events").next_offsets == {0: 10}


def test_only_rows_that_no_ledger_row_covers_are_removed(root: Path) -> None:
    append_rows(root, "events", "old", [LedgerRow(0, 0, 5)])
    append_rows(root, "events", "new", [LedgerRow(0, 0, 2), LedgerRow(1, 0, 3)])
    append_rows(root, "another", "other", [LedgerRow(0, 0, 9)])
    kept = {("old", 0, 4), ("new", 0, 1), ("new", 1, 2), ("other", 0, 8)}
    dropped = {("old", 0, 5), ("new", 0, 2), ("new", 1, 3), ("new", 2, 0), ("unseen", 0, 0)}
    add_interactions(root, *kept, *dropped)
    assert remove_uncommitted(root) == len(dropped)
    assert records(root) == kept
    assert remove_uncommitted(root) == 0


def test_everything_is_uncommitted_before_the_first_ledger_row(root: Path) -> None:
    assert uncommitted(root) == "true"
    add_interactions(root, ("id", 0, 0))
    assert remove_uncommitted(root) == 1
    assert records(root) == set()


PLACES = [(topic_id, partition) for topic_id in ("a", "b-_") for partition in (0, 1, 10)]


@hypothesis_settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 4)), max_size=8))
def test_what_delta_removes_is_what_the_plain_definition_names(ends: list[tuple[tuple[str, int], int]]) -> None:
    everything = {(*place, offset) for place in PLACES for offset in range(5)}
    committed = {record for record in everything if any(place == record[:2] and record[2] < end for place, end in ends)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = [
            {"topic_id": topic_id, "kafka_partition": partition, "to_offset": end}
            for (topic_id, partition), end in ends
        ]
        ledger = pa.Table.from_pylist(rows, schema=SCHEMAS["ingestion_ledger"])
        write_deltalake(table_path(root, "ingestion_ledger"), ledger)
        DeltaTable.create(table_path(root, "rejected_events"), SCHEMAS["rejected_events"])
        add_interactions(root, *everything)
        assert remove_uncommitted(root) == len(everything - committed)
        assert records(root) == committed


def test_rejected_events_without_a_ledger_row_are_removed_too(root: Path) -> None:
    append_rows(root, "events", "id", [LedgerRow(0, 0, 1)])
    rows = [{"topic_id": "id", "kafka_partition": 0, "kafka_offset": offset} for offset in (0, 1, 2)]
    rejected = pa.Table.from_pylist(rows, schema=SCHEMAS["rejected_events"])
    write_deltalake(table_path(root, "rejected_events"), rejected, mode="append", commit_properties=UNCOMMITTED)
    assert remove_uncommitted(root) == 2
    assert read_table(root, "rejected_events")["kafka_offset"].to_pylist() == [0]


def test_nothing_to_remove_writes_no_version(root: Path) -> None:
    assert remove_uncommitted(root) == 0
    assert table_version(root, "interactions") == 0


def test_all_rows_of_a_batch_are_one_commit_with_one_time_in_the_order_of_partitions(root: Path) -> None:
    append_rows(root, "events", "id", [LedgerRow(partition, 0, 1) for partition in (2, 0, 1)])
    rows = read_table(root, "ingestion_ledger")
    assert table_version(root, "ingestion_ledger") == 1
    assert rows["kafka_partition"].to_pylist() == [0, 1, 2]
    assert len(set(rows["committed_at"].to_pylist())) == 1


def write_file(root: Path, *offsets: int) -> list[WrittenFile]:
    columns = {"topic_id": "id", "kafka_partition": 0, "event_id": "e", "timestamp": NOW, "ingested_at": NOW}
    columns |= {"user_id": "u", "event_type": "view"}
    rows = pa.RecordBatch.from_pylist(
        [
            {field.name: columns.get(field.name) for field in SCHEMAS["interactions"]}
            | {"kafka_offset": o, "event_key": 1}
            for o in offsets
        ],
        schema=SCHEMAS["interactions"],
    )
    file = EventFile(root, "interactions", {})
    file.add(rows)
    return [WrittenFile.from_row(row) for row in file.close()]


NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def test_a_file_is_part_of_its_table_once_it_is_committed(root: Path) -> None:
    files = write_file(root, 0, 1) + write_file(root, 2)
    assert records(root) == set()
    commit_files(root, "interactions", files, next_commit_time(None))
    assert records(root) == {("id", 0, 0), ("id", 0, 1), ("id", 0, 2)}
    assert table_version(root, "interactions") == 1
    commit_files(root, "interactions", [], next_commit_time(None))
    assert table_version(root, "interactions") == 1


def test_a_table_that_is_not_ahead_of_the_ledger_is_not_searched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in (0, 2):
        moment = next_commit_time(latest_commit_time(root))
        commit_files(root, "interactions", write_file(root, start, start + 1), moment)
        append_rows(root, "events", "id", [LedgerRow(0, start, start + 2, accepted=2)], committed_at=moment)
    with monkeypatch.context() as patch:
        patch.setattr(commits, "uncommitted", lambda _: pytest.fail("searched"))
        assert remove_uncommitted(root) == 0
    commit_files(root, "interactions", write_file(root, 4), next_commit_time(latest_commit_time(root)))
    assert remove_uncommitted(root) == 1
    assert remove_uncommitted(root) == 0
    assert {offset for _, _, offset in records(root)} == {0, 1, 2, 3}


def test_an_expired_range_counts_as_lost_and_not_as_read(root: Path) -> None:
    append_rows(root, "events", "id", [LedgerRow(0, 3, 9, lost=6, status="lost")])
    (row,) = read_table(root, "ingestion_ledger", ["read", "lost", "status", "generation", "batch_id"]).to_pylist()
    assert row == {"read": 0, "lost": 6, "status": "lost", "generation": "", "batch_id": 0}
