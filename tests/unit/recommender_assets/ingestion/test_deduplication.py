import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion import deduplication
from recommender_assets.ingestion.deduplication import _may_hold, repeated_in_batch
from recommender_assets.ingestion.tables import SCHEMAS, create_tables, table_path

COLUMNS = ("event_id", "timestamp", "kafka_partition", "kafka_offset")
SCHEMA = pa.schema([SCHEMAS["interactions"].field(name) for name in COLUMNS])


def batch(rows: list[tuple[str, int, int, int]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows], schema=SCHEMA)


def test_the_lowest_position_counts_and_an_id_with_another_time_is_another_event() -> None:
    rows = [("a", 1, 1, 0), ("a", 1, 0, 9), ("a", 2, 0, 1), ("b", 1, 0, 2), ("a", 1, 0, 3)]
    assert repeated_in_batch(batch(rows)).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("rows", [[], [("a", 1, 0, 0)]])
def test_a_tiny_batch_repeats_nothing(rows: list[tuple[str, int, int, int]]) -> None:
    assert not repeated_in_batch(batch(rows)).any()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2)), max_size=30), st.randoms())
def test_it_equals_the_plain_definition_in_any_order(keys: list[tuple[str, int, int]], random: object) -> None:
    rows = [(*key, offset) for offset, key in enumerate(keys)]
    random.shuffle(rows)  # type: ignore[attr-defined]
    first: dict[tuple[str, int], tuple[int, int]] = {}
    for event_id, time, *position in rows:
        first[event_id, time] = min(first.get((event_id, time), (9, 9)), tuple(position))
    expected = [first[event_id, time] != tuple(position) for event_id, time, *position in rows]
    assert repeated_in_batch(batch(rows)).tolist() == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [([], False), ([1], False), ([2], True), ([1, 9], True), ([4], False), ([6], True), ([9], False)],
)
def test_only_days_within_a_files_statistics_are_looked_up(tmp_path: Path, days: list[int], expected: bool) -> None:  # noqa: FBT001
    create_tables(tmp_path)
    for low, high in ((2, 3), (5, 8)):
        rows = [{"event_id": "e", "event_day": dt.date(2020, 1, day)} for day in (low, high)]
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["interactions"])
        write_deltalake(table_path(tmp_path, "interactions"), table, mode="append")
    wanted = [dt.date(2020, 1, day) for day in days]
    if days == [1, 9]:
        wanted.insert(1, dt.date(2020, 1, 6))
    assert _may_hold(tmp_path, wanted) is expected


def test_an_empty_table_holds_nothing(tmp_path: Path) -> None:
    create_tables(tmp_path)
    assert not _may_hold(tmp_path, [dt.date(2020, 1, 1)])


FIRST_DAY = dt.date(2020, 1, 1)
DAY_NUMBERS = st.integers(0, 15)


def day(number: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number)


@given(
    st.lists(st.tuples(DAY_NUMBERS, DAY_NUMBERS).map(sorted) | st.none(), max_size=4),
    st.sets(DAY_NUMBERS, max_size=5).map(sorted),
)
def test_files_that_cannot_hold_a_day_are_those_of_the_plain_definition(
    files: list[list[int] | None], days: list[int]
) -> None:
    """`None` is a file without statistics: it may hold any day."""
    lows, highs = ([file and day(file[end]) for file in files] for end in (0, 1))
    actions = pa.table({"min.event_day": pa.array(lows, pa.date32()), "max.event_day": pa.array(highs, pa.date32())})

    class Listed:
        def __init__(self, _: str) -> None:
            pass

        def get_add_actions(self, *, flatten: bool) -> pa.Table:
            assert flatten
            return actions

    expected = any(file is None or file[0] <= number <= file[1] for file in files for number in days)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplication, "DeltaTable", Listed)
        assert _may_hold(Path("root"), [day(number) for number in days]) is expected


def test_files_without_any_statistics_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Listed:
        def __init__(self, _: str) -> None:
            pass

        def get_add_actions(self, **_: bool) -> pa.Table:
            return pa.table({"path": ["a"]})

    monkeypatch.setattr(deduplication, "DeltaTable", Listed)
    assert _may_hold(tmp_path, [FIRST_DAY])
    assert not _may_hold(tmp_path, [])


def test_days_that_no_file_holds_are_answered_without_spark(tmp_path: Path) -> None:
    class Events:
        """A data frame that can be narrowed, but has no session to read a table with."""

        def select(self, *_: str) -> "Events":
            return self

    create_tables(tmp_path)
    found = deduplication.read_in_earlier_batches(Events(), tmp_path, [FIRST_DAY])  # type: ignore[arg-type]
    assert found.num_rows == 0
    assert found.schema == pa.schema([SCHEMA.field(name) for name in ("kafka_partition", "kafka_offset")])
