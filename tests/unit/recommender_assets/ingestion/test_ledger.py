from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.tables import SCHEMAS, TableName, create_tables, table_path

TOPIC = "events"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def add_rows(root: Path, name: TableName, topic_id: str, partition: int, offsets: list[int], **fields: str) -> None:
    rows = [{"topic_id": topic_id, "kafka_partition": partition, "kafka_offset": offset} | fields for offset in offsets]
    write_deltalake(table_path(root, name), pa.Table.from_pylist(rows, schema=SCHEMAS[name]), mode="append")


def test_position_is_empty_before_the_first_read(root: Path) -> None:
    position = ledger_position(root, TOPIC)
    assert (position.topic, position.topic_id, position.next_offsets) == (TOPIC, "", {})


def test_position_is_the_end_of_each_partition_of_the_latest_topic_id(root: Path) -> None:
    append_rows(root, TOPIC, "old", [LedgerRow(0, 0, 50), LedgerRow(1, 0, 60)])
    append_rows(root, TOPIC, "new", [LedgerRow(0, 7, 7, status="accepted")])
    append_rows(root, TOPIC, "new", [LedgerRow(0, 7, 9), LedgerRow(1, 0, 3)])
    append_rows(root, "another topic", "other", [LedgerRow(0, 0, 99)])
    position = ledger_position(root, TOPIC)
    assert (position.topic_id, position.next_offsets) == ("new", {0: 9, 1: 3})


def test_position_keeps_partitions_that_the_last_batch_did_not_touch(root: Path) -> None:
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 5), LedgerRow(1, 0, 6)])
    append_rows(root, TOPIC, "id", [LedgerRow(1, 6, 8)])
    assert ledger_position(root, TOPIC).next_offsets == {0: 5, 1: 8}


def test_ranges_that_join_have_no_gap(root: Path) -> None:
    append_rows(root, TOPIC, "id", [LedgerRow(0, 3, 5), LedgerRow(1, 0, 6)])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 5, 9, lost=4, status="lost")])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 9, 10)])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 2, 2, status="accepted")])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 2, 4)])
    assert contiguity_gaps(root) == []


@pytest.mark.parametrize("start", [4, 6])
def test_a_gap_or_an_overlap_is_found(root: Path, start: int) -> None:
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 5)])
    append_rows(root, TOPIC, "id", [LedgerRow(0, start, 9)])
    assert contiguity_gaps(root) == [f"topic id id, partition 0: expected offset 5 next, found {start}"]


def test_counts_that_agree_with_the_tables_are_no_error(root: Path) -> None:
    add_rows(root, "interactions", "id", 0, [0, 3, 5])
    add_rows(root, "rejected_events", "id", 0, [1], reason="duplicate")
    add_rows(root, "rejected_events", "id", 0, [4], reason="malformed_json")
    add_rows(root, "interactions", "id", 1, [0])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 4, accepted=2, duplicate=1), LedgerRow(1, 0, 1, accepted=1)])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 4, 9, accepted=1, rejected=1)])
    assert accounting_errors(root) == []


def test_a_row_too_few_or_of_another_kind_is_found(root: Path) -> None:
    add_rows(root, "interactions", "id", 0, [0])
    add_rows(root, "rejected_events", "id", 0, [1], reason="malformed_json")
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 2, accepted=1, duplicate=1)])
    assert accounting_errors(root) == [
        "topic id id, partition 0, offsets 0 to 1: [1, 1, 0] accepted, duplicate, rejected in the ledger, "
        "[1, 0, 1] in the tables"
    ]


def test_a_record_with_two_rows_is_found_even_if_the_count_is_right(root: Path) -> None:
    add_rows(root, "interactions", "id", 0, [0, 0])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 2, accepted=2)])
    assert accounting_errors(root) == ["topic id id, partition 0, offsets 0 to 1: a record has more than one row"]


def test_rows_that_no_range_covers_are_found(root: Path) -> None:
    add_rows(root, "interactions", "id", 0, [0, 1, 2])
    add_rows(root, "interactions", "unknown", 0, [0])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 1, accepted=1)])
    assert accounting_errors(root) == [
        "topic id id, partition 0: 2 rows that no ledger row covers",
        "topic id unknown, partition 0: 1 rows that no ledger row covers",
    ]
