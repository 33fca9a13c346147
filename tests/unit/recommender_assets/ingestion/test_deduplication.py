import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recommender_assets.ingestion import deduplication
from recommender_assets.ingestion.deduplication import (
    duplicates,
    files_that_may_hold,
    read_before,
    recent_duplicates,
    repeated,
)
from recommender_assets.ingestion.event_files import IDENTITY
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path

Row = tuple[int, int, int, int]


def events(rows: Iterable[Row]) -> npt.NDArray[np.void]:
    """From (partition, offset, key, time)."""
    return np.array(list(rows), IDENTITY)


def append(root: Path, *keys: tuple[int, int], day: int = 1) -> None:
    """A file of `interactions` with events of (key, epoch microseconds)."""
    shared = {"event_day": dt.date(1970, 1, 1), "kafka_partition": 0, "kafka_offset": 0}
    shared["ingested_at"] = dt.datetime(2024, 1, day, tzinfo=dt.UTC)
    rows = [shared | {"event_key": key, "timestamp": time} for key, time in keys]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["interactions"])
    write_deltalake(table_path(root, "interactions"), table, mode="append")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def test_the_lowest_position_counts_and_a_key_with_another_time_is_another_event() -> None:
    rows = [(1, 0, 7, 1), (0, 9, 7, 1), (0, 1, 7, 2), (0, 2, 8, 1), (0, 3, 7, 1)]
    assert repeated(events(rows)).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("rows", [[], [(0, 0, 7, 1)]])
def test_a_tiny_batch_repeats_nothing(rows: list[Row], root: Path) -> None:
    assert not repeated(events(rows)).any()
    assert not read_before(events(rows), root).any()


KEYS = st.sampled_from([0, 1, 2, 2**63 - 1])
TIMES = st.sampled_from([-1, 0, 1, 10**15])


@given(st.lists(st.tuples(KEYS, TIMES, st.integers(0, 2)), max_size=30), st.randoms())
def test_repeats_are_those_of_the_plain_definition_in_any_order(keys: list[Row], random: object) -> None:
    rows = [(partition, offset, key, time) for offset, (key, time, partition) in enumerate(keys)]
    random.shuffle(rows)  # type: ignore[attr-defined]
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for partition, offset, *identity in rows:
        first[tuple(identity)] = min(first.get(tuple(identity), (9, 9)), (partition, offset))  # type: ignore[index]
    expected = [first[key, time] != (partition, offset) for partition, offset, key, time in rows]
    assert repeated(events(rows)).tolist() == expected


EVENTS = st.lists(st.tuples(KEYS, TIMES), max_size=12)


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.lists(EVENTS, max_size=3), st.lists(EVENTS, max_size=3))
def test_duplicates_are_those_of_the_plain_definition(
    tmp_path_factory: pytest.TempPathFactory, earlier: list[list[tuple[int, int]]], now: list[list[tuple[int, int]]]
) -> None:
    root = tmp_path_factory.mktemp("tables")
    DeltaTable.create(table_path(root, "interactions"), SCHEMAS["interactions"])
    for keys in filter(None, earlier):
        append(root, *keys)
    seen = {key for keys in earlier for key in keys}
    expected, files, offset = [], [], 0
    for keys in now:
        of_file = []
        for key in keys:
            of_file.append(key in seen)
            seen.add(key)
        files.append(events((0, offset + row, *key) for row, key in enumerate(keys)))
        expected.append(of_file)
        offset += len(keys)
    assert [found.tolist() for found in duplicates(files, root)] == expected


def test_different_events_whose_mixed_values_are_equal_are_told_apart(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deduplication, "_mixed", lambda keys, _: np.zeros(len(keys), np.uint64))
    append(root, (1, 1), (2, 1))
    rows = events([(0, 0, 1, 1), (0, 1, 1, 2), (0, 2, 2, 1), (0, 3, 1, 2), (0, 4, 3, 1)])
    assert read_before(rows, root).tolist() == [True, False, True, False, False]
    assert repeated(rows).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("milliseconds", "expected"), [([], 0), ([9], 0), ([10], 1), ([0, 40], 0), ([0, 25], 1), ([10, 20], 2)]
)
def test_only_files_whose_range_holds_a_time_stamp_are_read(root: Path, milliseconds: list[int], expected: int) -> None:
    for low, high in ((10, 15), (20, 30)):
        append(root, (1, low * 1_000), (2, high * 1_000))
    assert len(files_that_may_hold(root, np.array(milliseconds, np.int64) * 1_000)) == expected


def test_a_largest_time_stamp_that_was_cut_to_milliseconds_hides_no_event(root: Path) -> None:
    append(root, (1, 1_000), (2, 1_999))
    assert read_before(events([(0, 0, 2, 1_999)]), root).all()


def test_a_second_row_of_a_recent_event_is_found_wherever_the_first_is(root: Path) -> None:
    append(root, (1, 10), (2, 20), day=1)
    append(root, (3, 30), (4, 40), day=2)
    assert recent_duplicates(root, 1) == []
    append(root, (2, 20), (5, 50), (5, 50), day=3)
    found = recent_duplicates(root, 1)
    assert [text.split(" (")[0] for text in found] == ["event key 2 at 20 us", "event key 5 at 50 us"]
    append(root, (6, 60), day=4)
    assert recent_duplicates(root, 1) == [], "what was looked at before is not looked at again"
    assert len(recent_duplicates(root, 2)) == 2
    assert len(recent_duplicates(root, 100)) == 2


def test_an_empty_table_has_no_duplicates(root: Path) -> None:
    assert recent_duplicates(root, 10) == []


def test_files_without_statistics_are_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Listed:
        def __init__(self, _: str) -> None:
            pass

        def get_add_actions(self, **_: bool) -> pa.Table:
            return pa.table({"path": ["a"]})

    monkeypatch.setattr(deduplication, "DeltaTable", Listed)
    assert files_that_may_hold(root, np.array([1], np.int64)) == ["a"]
    assert files_that_may_hold(root, np.array([], np.int64)) == []
