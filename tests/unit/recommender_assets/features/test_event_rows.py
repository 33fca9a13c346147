import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.features.event_rows import current_position, read_event_rows, read_items
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
TOPIC = "user_interactions"


def event(user: str, number: int, kind: str = "rating") -> dict[str, object]:
    return {
        "user_id": user,
        "item_id": None if kind == "forget" else "x",
        "event_type": kind,
        "rating": 4.0 if kind == "rating" else None,
        "timestamp": NOW,
        "event_id": str(number),
        "event_key": number,
    }


def record(user: str, topic_id: str, partition: int, offset: int, kind: str = "rating") -> dict[str, object]:
    place = {"topic_id": topic_id, "kafka_partition": partition, "kafka_offset": offset}
    return event(user, offset, kind) | place | {"ranking_id": None, "event_day": NOW.date(), "ingested_at": NOW}


def append(root: Path, name: str, rows: list[dict[str, object]]) -> None:
    write_deltalake(table_path(root, name), pa.Table.from_pylist(rows, schema=SCHEMAS[name]), mode="append")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def users_of(root: Path) -> list[str]:
    return sorted(read_event_rows(root, current_position(root, TOPIC))["user_id"].to_pylist())


def test_history_and_committed_interactions_are_read(root):
    append(root, "interaction_history", [event("imported", 1)])
    append(root, "interactions", [record("a", "t", 0, 0), record("b", "t", 0, 1), record("c", "t", 1, 0)])
    append_rows(root, TOPIC, "t", [LedgerRow(0, 0, 2, accepted=2), LedgerRow(1, 0, 1, accepted=1)])

    position = current_position(root, TOPIC)

    assert users_of(root) == ["a", "b", "c", "imported"]
    assert (position.topic_id, position.next_offsets) == ("t", {"0": 2, "1": 1})
    assert position.table_versions == {"interaction_history": 1, "interactions": 1, "items": 0}


def test_rows_that_the_ledger_does_not_cover_are_left_out(root):
    append(
        root, "interactions", [record("a", "t", 0, 0), record("left over", "t", 0, 1), record("no ledger", "t", 1, 0)]
    )
    append_rows(root, TOPIC, "t", [LedgerRow(0, 0, 1, accepted=1)])

    assert users_of(root) == ["a"]


def test_nothing_is_committed_before_the_first_ledger_row(root):
    append(root, "interactions", [record("left over", "t", 0, 0)])

    assert users_of(root) == []


def test_rows_of_an_earlier_topic_stay(root):
    append(root, "interactions", [record("a", "old", 0, 70), record("b", "new", 0, 0), record("late", "new", 0, 1)])
    append_rows(root, TOPIC, "old", [LedgerRow(0, 0, 71, accepted=71)])
    append_rows(root, TOPIC, "new", [LedgerRow(0, 0, 1, accepted=1)])

    assert users_of(root) == ["a", "b"]


def test_a_position_keeps_reading_the_versions_it_was_made_of(root):
    append(root, "interaction_history", [event("early", 1)])
    position = current_position(root, TOPIC)
    append(root, "interaction_history", [event("late", 2)])

    assert read_event_rows(root, position)["user_id"].to_pylist() == ["early"]


def test_forgotten_rows_are_gone(root):
    append(root, "interaction_history", [event("a", 1), event("b", 2)])
    append(root, "interactions", [record("a", "t", 0, 0), record("a", "t", 0, 1, "forget"), record("b", "t", 0, 2)])
    append_rows(root, TOPIC, "t", [LedgerRow(0, 0, 3, accepted=3)])

    assert users_of(root) == ["b", "b"]


def test_missing_tables_are_named_with_the_command_that_makes_them(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no table interaction_history, interactions, items, ingestion_ledger under .*init-tables",
    ):
        current_position(tmp_path, TOPIC)


def test_every_partition_is_read_to_its_own_position(root):
    rows = [record(f"{partition}:{offset}", "t", partition, offset) for partition in (0, 1, 3) for offset in range(4)]
    append(root, "interactions", rows)
    ends = {0: 1, 1: 4, 2: 7, 3: 2, 8: 5}
    append_rows(root, TOPIC, "t", [LedgerRow(part, 0, end, accepted=end) for part, end in ends.items()])

    assert users_of(root) == ["0:0", "1:0", "1:1", "1:2", "1:3", "3:0", "3:1"]


def test_a_forget_that_the_ledger_does_not_cover_takes_nothing_yet(root):
    append(root, "interaction_history", [event("a", 1)])
    append(root, "interactions", [record("a", "t", 0, 0), record("a", "t", 0, 1, "forget")])
    append_rows(root, TOPIC, "t", [LedgerRow(0, 0, 1, accepted=1)])

    assert users_of(root) == ["a", "a"]


def test_interactions_and_items_are_read_as_of_the_position(root):
    append(root, "interactions", [record("early", "t", 0, 0)])
    append_rows(root, TOPIC, "t", [LedgerRow(0, 0, 1, accepted=1)])
    position = current_position(root, TOPIC)
    append(root, "interactions", [record("late", "t", 0, 0)])
    append(root, "items", [{"item_id": "x", "title": "X", "categories": ["Drama"], "year": 1999}])

    assert read_event_rows(root, position)["user_id"].to_pylist() == ["early"]
    assert read_items(root, position).num_rows == 0
    assert read_items(root, current_position(root, TOPIC))["title"].to_pylist() == ["X"]


def test_only_the_tables_that_are_missing_are_named(root):
    shutil.rmtree(table_path(root, "items"))

    with pytest.raises(FileNotFoundError, match=r"no table items under"):
        current_position(root, TOPIC)
