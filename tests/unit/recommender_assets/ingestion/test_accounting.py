from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.ledger import accounting_errors
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path

Record = tuple[int, int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def append(root: Path, *records: Record, name: TableName = "interactions", topic_id: str = "id") -> None:
    """One file with rows at (partition, offset)."""
    rows = [
        {"topic_id": topic_id, "kafka_partition": partition, "kafka_offset": offset, "reason": "wrong_type"}
        for partition, offset in records
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS[name])
    write_deltalake(table_path(root, name), table, mode="append")


def two_batches(root: Path) -> None:
    append_rows(root, "events", "id", [LedgerRow(0, 0, 4, accepted=3, rejected=1), LedgerRow(1, 5, 7, accepted=2)])
    append_rows(root, "events", "id", [LedgerRow(0, 4, 6, accepted=1, duplicate=1)])
    append(root, (0, 0), (0, 1), (0, 2))
    append(root, (1, 5), (1, 6))
    append(root, (0, 4))
    append(root, (0, 3), name="rejected_events")
    append(root, (0, 5), name="rejected_events")


def test_tables_that_hold_what_the_ledger_counts_pass(root: Path) -> None:
    assert accounting_differences(root) == []
    two_batches(root)
    assert accounting_differences(root) == []


def test_a_missing_row_is_found_in_its_range(root: Path) -> None:
    two_batches(root)
    DeltaTable(table_path(root, "interactions")).delete("kafka_partition = 0 AND kafka_offset = 2")
    assert accounting_differences(root) == [
        "topic id id, partition 0, offsets 0 to 3: 3 rows of interactions in the ledger, 2 in its files"
    ]


def test_a_row_too_many_is_found_in_its_range(root: Path) -> None:
    two_batches(root)
    append(root, (0, 5), name="rejected_events")
    assert accounting_differences(root) == [
        "topic id id, partition 0, offsets 4 to 5: 1 rows of rejected_events in the ledger, 2 in its files"
    ]


@pytest.mark.parametrize("record", [(0, 6), (1, 4), (2, 0)])
def test_a_row_that_no_range_covers_is_found(root: Path, record: Record) -> None:
    two_batches(root)
    append(root, record)
    assert accounting_differences(root) == ["interactions: 6 rows in the ledger, 7 in the table"]


def test_merged_files_are_compared_as_a_whole(root: Path) -> None:
    two_batches(root)
    table = DeltaTable(table_path(root, "interactions"))
    table.optimize.compact()
    assert len(table.file_uris()) == 1
    assert accounting_differences(root) == []
    table.delete("kafka_offset = 6")
    assert accounting_differences(root) == ["interactions: 6 rows in the ledger, 5 in the table"]


def test_counts_of_a_range_that_do_not_add_up_are_found(root: Path) -> None:
    row = {"topic": "t", "topic_id": "id", "kafka_partition": 0, "from_offset": 0, "to_offset": 3, "read": 3}
    row |= {"accepted": 0, "duplicate": 0, "rejected": 0}
    table = pa.Table.from_pylist([row], schema=SCHEMAS["ingestion_ledger"])
    write_deltalake(table_path(root, "ingestion_ledger"), table, mode="append")
    assert accounting_differences(root) == [
        "topic id id, partition 0, offsets 0 to 2: 3 read, but 0 accepted, 0 duplicate and 0 rejected"
    ]


def test_a_fresh_start_of_a_topic_has_a_range_of_its_own(root: Path) -> None:
    append_rows(root, "events", "id", [LedgerRow(0, 8, 8, status="accepted")])
    append_rows(root, "events", "id", [LedgerRow(0, 8, 10, accepted=2)])
    append(root, (0, 8), (0, 9))
    assert accounting_differences(root) == []


@hypothesis_settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=4),
    st.integers(0, 20),
    st.booleans(),
)
def test_what_the_exact_proof_misses_in_number_is_found_too(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[int, int]],
    lost: int,
    has_loss: bool,  # noqa: FBT001
) -> None:
    root = tmp_path_factory.mktemp("tables")
    for name in ("interactions", "rejected_events", "ingestion_ledger", "removed_rows"):
        DeltaTable.create(table_path(root, name), SCHEMAS[name])  # type: ignore[index]
    ends = {0: 0, 1: 0}
    everything: list[list[Record]] = []
    for partition, count in batches:
        start, ends[partition] = ends[partition], ends[partition] + count
        append_rows(root, "events", "id", [LedgerRow(partition, start, start + count, accepted=count)])
        everything.append([(partition, offset) for offset in range(start, start + count)])
    if has_loss:
        everything[lost % len(everything)].pop()
    for records in filter(None, everything):
        append(root, *records)
    assert bool(accounting_differences(root)) == bool(accounting_errors(root)) == has_loss
