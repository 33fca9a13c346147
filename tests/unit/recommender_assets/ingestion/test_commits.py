import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.ingestion import commits
from recommender_assets.ingestion.commits import LedgerRow, append_rows, remove_uncommitted, uncommitted
from recommender_assets.ingestion.ledger import ledger_position
from recommender_assets.ingestion.tables import SCHEMAS, create_tables, read_table, table_path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def add_interactions(root: Path, *records: tuple[str, int, int]) -> None:
    rows = [dict(zip(("topic_id", "kafka_partition", "kafka_offset"), record, strict=True)) for record in records]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["interactions"])
    write_deltalake(table_path(root, "interactions"), table, mode="append")


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
