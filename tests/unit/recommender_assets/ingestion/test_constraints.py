import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from recommender_assets.ingestion.commits import LedgerRow, append_rows, commit_files
from recommender_assets.ingestion.constraints import BrokenRowsError, constraints, declare_constraints
from recommender_assets.ingestion.event_files import EventFile, WrittenFile
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, read_table, table_path

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
PLACE = {"topic_id": "t", "kafka_partition": 0, "kafka_offset": 0, "ingested_at": NOW}
EVENT = {"user_id": "u", "item_id": "i", "event_type": "view", "timestamp": NOW, "event_id": "e", "event_key": 1}
ROWS: dict[TableName, dict[str, Any]] = {
    "interactions": EVENT | PLACE,
    "rejected_events": PLACE | {"reason": "duplicate", "detail": "d"},
    "interaction_history": EVENT,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def append(root: Path, name: TableName, **changes: object) -> None:
    rows = pa.Table.from_pylist([ROWS[name] | changes], schema=SCHEMAS[name])
    write_deltalake(table_path(root, name), rows, mode="append")


def commit(root: Path, name: TableName, **changes: object) -> None:
    """As ingestion writes: a file of a worker, committed by the driver."""
    file = EventFile(root, name, {})
    file.add(pa.RecordBatch.from_pylist([ROWS[name], ROWS[name] | changes], schema=SCHEMAS[name]))
    commit_files(root, name, [WrittenFile.from_row(row) for row in file.close()], NOW)


BROKEN: list[tuple[TableName, dict[str, object], str]] = [
    ("interactions", {"user_id": None}, "1 rows without user_id"),
    ("interactions", {"event_id": None}, "1 rows without event_id"),
    ("interactions", {"kafka_offset": -1}, "kafka_offset as low as -1"),
    ("interactions", {"topic_id": None}, "1 rows without topic_id"),
    ("rejected_events", {"reason": None}, "1 rows without reason"),
    ("rejected_events", {"kafka_partition": -3}, "kafka_partition as low as -3"),
]


@pytest.mark.parametrize(("name", "change", "message"), BROKEN)
def test_a_file_with_a_broken_row_is_not_committed(
    root: Path, name: TableName, change: dict[str, object], message: str
) -> None:
    with pytest.raises(BrokenRowsError, match=f"{name}, file part-.*: {message}; nothing was committed"):
        commit(root, name, **change)
    assert read_table(root, name).num_rows == 0
    commit(root, name)
    assert read_table(root, name).num_rows == 2


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, change, _ in BROKEN])
def test_other_writers_are_refused_by_the_table(root: Path, name: TableName, change: dict[str, object]) -> None:
    declare_constraints(root)
    with pytest.raises(DeltaError):
        append(root, name, **change)
    append(root, name)
    commit(root, name)
    assert read_table(root, name).num_rows == 3


def test_only_a_forget_has_no_item(root: Path) -> None:
    declare_constraints(root)
    append(root, "interactions", event_type="forget", item_id=None)
    with pytest.raises(DeltaError):
        append(root, "interactions", item_id=None)


def test_a_ledger_row_adds_up(root: Path) -> None:
    declare_constraints(root)
    append_rows(root, "topic", "t", [LedgerRow(0, 0, 9, accepted=3, duplicate=2, rejected=1)])
    append_rows(root, "topic", "t", [LedgerRow(0, 9, 12, lost=3, status="lost")])
    with pytest.raises(DeltaError):
        append_rows(root, "topic", "t", [LedgerRow(0, 12, 9)])
    rows = read_table(root, "ingestion_ledger")
    wrong = rows.slice(0, 1).set_column(rows.schema.get_field_index("read"), "read", [[99]])
    with pytest.raises(DeltaError):
        write_deltalake(table_path(root, "ingestion_ledger"), wrong.cast(rows.schema), mode="append")


def test_declaring_again_commits_nothing_and_rows_that_break_a_rule_are_seen(root: Path) -> None:
    declare_constraints(root)
    version = DeltaTable(table_path(root, "interactions")).version()
    declare_constraints(root)
    assert DeltaTable(table_path(root, "interactions")).version() == version
    declared = DeltaTable(table_path(root, "interactions")).metadata().configuration
    assert {f"delta.constraints.{name}" for name in constraints("interactions")} <= declared.keys()


def test_rows_that_break_a_rule_already_are_an_error(root: Path) -> None:
    append(root, "interactions", user_id=None)
    with pytest.raises(DeltaError):
        declare_constraints(root)
