import datetime as dt
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from hypothesis import assume, given
from hypothesis import strategies as st

from recommender_assets.ingestion import ledger, removed_rows
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps, ledger_position
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path

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


def test_an_accepted_row_starts_a_new_chain_and_the_next_must_join_it(root: Path) -> None:
    append_rows(root, TOPIC, "id", [LedgerRow(0, 0, 5)])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 8, 8, status="accepted")])
    append_rows(root, TOPIC, "id", [LedgerRow(0, 5, 9)])
    assert contiguity_gaps(root) == ["topic id id, partition 0: expected offset 8 next, found 5"]


def test_an_empty_ledger_with_empty_tables_is_in_order(root: Path) -> None:
    assert contiguity_gaps(root) == accounting_errors(root) == []


Place = tuple[str, int]
Record = tuple[str, int, int]
PLACES = st.sampled_from([(topic_id, partition) for topic_id in ("x", "y") for partition in (0, 1)])
# What became of each offset of a range: 0 accepted, 1 duplicate, 2 rejected, None = a gap such as a transaction marker.
OUTCOMES = st.lists(st.sampled_from([0, 1, 2, None]), min_size=1, max_size=5)
BATCHES = st.lists(st.tuples(PLACES, OUTCOMES), min_size=1, max_size=8)


@contextmanager
def in_memory(**rows: list[dict[str, object]]) -> Iterator[None]:
    """The ledger's module reads these rows instead of Delta tables, whatever order they are stored in."""
    tables = {name: pa.Table.from_pylist(rows.get(name, []), schema=schema) for name, schema in SCHEMAS.items()}

    def read(_: Path, name: str, columns: list[str] | None = None, condition: pc.Expression | None = None) -> pa.Table:
        table = tables[name] if condition is None else tables[name].filter(condition)
        return table if columns is None else table.select(columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "read_table", read)
        patch.setattr(removed_rows, "read_table", read)
        yield


def chain(batches: list[tuple[Place, list[int | None]]]) -> list[dict[str, object]]:
    """Ledger rows whose ranges join, one commit for each batch."""
    ends: dict[Place, int] = {}
    rows: list[dict[str, object]] = []
    for number, (place, outcomes) in enumerate(batches):
        start = ends.get(place, 10 * place[1])
        ends[place] = start + len(outcomes)
        counts = {name: outcomes.count(kind) for kind, name in enumerate(("accepted", "duplicate", "rejected"))}
        rows.append(
            {
                "topic": TOPIC,
                "topic_id": place[0],
                "kafka_partition": place[1],
                "from_offset": start,
                "to_offset": ends[place],
                "status": "read",
                "committed_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=number),
            }
            | counts
        )
    return rows


def table_rows(
    batches: list[tuple[Place, list[int | None]]], ranges: list[dict[str, object]]
) -> list[tuple[Record, int]]:
    """(record, kind) of each row that the tables hold."""
    return [
        ((*place, int(str(row["from_offset"])) + i), kind)
        for row, (place, outcomes) in zip(ranges, batches, strict=True)
        for i, kind in enumerate(outcomes)
        if kind is not None
    ]


def errors_of(ranges: list[dict[str, object]], rows: list[tuple[Record, int]]) -> list[str]:
    def fields(record: Record) -> dict[str, object]:
        return dict(zip(("topic_id", "kafka_partition", "kafka_offset"), record, strict=True))

    rejected = [
        fields(record) | {"reason": "duplicate" if kind == 1 else "wrong_type"} for record, kind in rows if kind
    ]
    accepted = [fields(record) for record, kind in rows if kind == 0]
    with in_memory(ingestion_ledger=ranges, interactions=accepted, rejected_events=rejected):
        return accounting_errors(Path())


@given(BATCHES, st.randoms(use_true_random=False))
def test_the_position_is_the_latest_end_of_each_partition_of_the_latest_id(
    batches: list[tuple[Place, list[int | None]]], order: random.Random
) -> None:
    rows = chain(batches)
    latest = batches[-1][0][0]
    expected = {row["kafka_partition"]: row["to_offset"] for row in rows if row["topic_id"] == latest}
    order.shuffle(rows)
    with in_memory(ingestion_ledger=rows):
        position = ledger_position(Path(), TOPIC)
    assert (position.topic_id, position.next_offsets) == (latest, expected)


@given(BATCHES, st.integers(-3, 3).filter(bool), st.randoms(use_true_random=False))
def test_exactly_the_link_that_does_not_join_is_named(
    batches: list[tuple[Place, list[int | None]]], shift: int, order: random.Random
) -> None:
    rows = chain(batches)
    with in_memory(ingestion_ledger=order.sample(rows, len(rows))):
        assert contiguity_gaps(Path()) == []
    seen: set[Place] = set()
    later = [row for row, (place, _) in zip(rows, batches, strict=True) if place in seen or seen.add(place)]  # type: ignore[func-returns-value]
    assume(later)
    row = order.choice(later)
    expected = int(str(row["from_offset"]))
    row["from_offset"] = expected + shift
    where = f"topic id {row['topic_id']}, partition {row['kafka_partition']}"
    with in_memory(ingestion_ledger=order.sample(rows, len(rows))):
        assert contiguity_gaps(Path()) == [f"{where}: expected offset {expected} next, found {expected + shift}"]
    row["status"] = "accepted"
    with in_memory(ingestion_ledger=rows):
        assert contiguity_gaps(Path()) == []


@given(BATCHES, st.randoms(use_true_random=False))
def test_every_record_is_accounted_for_until_one_is_lost_changed_or_written_twice(
    batches: list[tuple[Place, list[int | None]]], order: random.Random
) -> None:
    ranges = chain(batches)
    rows = table_rows(batches, ranges)
    order.shuffle(rows)
    order.shuffle(ranges)
    assert errors_of(ranges, rows) == []
    assume(rows)
    number = order.randrange(len(rows))
    record, kind = rows[number]
    others = rows[:number] + rows[number + 1 :]
    (row,) = (
        row
        for row in ranges
        if (row["topic_id"], row["kafka_partition"]) == record[:2]
        and int(str(row["from_offset"])) <= record[2] < int(str(row["to_offset"]))
    )
    where = (
        f"topic id {record[0]}, partition {record[1]}, offsets {row['from_offset']} to {int(str(row['to_offset'])) - 1}"
    )
    claimed = [row["accepted"], row["duplicate"], row["rejected"]]

    def found(*changes: tuple[int, int]) -> str:
        counts = [int(str(count)) for count in claimed]
        for one, change in changes:
            counts[one] += change
        return f"{where}: {claimed} accepted, duplicate, rejected in the ledger, {counts} in the tables"

    other_kind = (kind + 1) % 3
    assert errors_of(ranges, others) == [found((kind, -1))]
    assert errors_of(ranges, [*others, (record, other_kind)]) == [found((kind, -1), (other_kind, 1))]
    assert errors_of(ranges, [*rows, rows[number]]) == [found((kind, 1)), f"{where}: a record has more than one row"]
    beyond = (*record[:2], 1_000)
    assert errors_of(ranges, [*rows, (beyond, kind)]) == [
        f"topic id {record[0]}, partition {record[1]}: 1 rows that no ledger row covers"
    ]
