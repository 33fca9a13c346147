from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from recommender_assets.ingestion import served_lists
from recommender_assets.ingestion.served_lists import LogBusyError, Ranges, Record, _commit, _lost, log_position, unread
from recommender_assets.ingestion.served_lists_checks import log_offsets_are_contiguous
from recommender_assets.ingestion.tables import create_tables, read_table, table_path
from recommender_assets.ingestion.topic_position import TopicReplacedError, Watermarks
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.recommendation_log import ServedList, encode_served_list

LIST = ServedList(
    ranking_id="r",
    user_id="u",
    served_at_us=1_700_000_000_000_000,
    items=("a",),
    algorithm="svd",
    version="v",
    source="popular",
    logged_share=0.1,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def records(*offsets: int, partition: int = 0) -> list[Record]:
    return [Record(partition, offset, 1_700_000_000_000, b"u", encode_served_list(LIST)) for offset in offsets]


def commit(settings: Settings, start: int, end: int, *bad: int, lost: int = 0) -> tuple[int, int]:
    read = [record._replace(value=b"bad") if record.offset in bad else record for record in records(*range(start, end))]
    return _commit(settings.root, "t", read, Ranges({0: start - lost}, {0: end}, {0: lost} if lost else {}))


def fact(settings: Settings) -> tuple[bool, str]:
    found = log_offsets_are_contiguous(settings)
    return found.passed, found.reason


def test_rows_and_position_are_one_commit(settings: Settings) -> None:
    assert log_position(settings.root, "t", [0, 1]) == {}
    assert commit(settings, 3, 6, 4) == (2, 1)
    assert log_position(settings.root, "t", [0, 1]) == {0: 6}
    assert log_position(settings.root, "another topic", [0, 1]) == {}
    marks = {0: Watermarks(0, 9), 1: Watermarks(4, 5)}
    assert unread(settings.root, "t", marks) == 4
    assert fact(settings) == (True, "")


def test_the_same_records_again_are_refused(settings: Settings) -> None:
    commit(settings, 0, 3, 1)
    for _ in range(2):
        with pytest.raises(LogBusyError, match="meanwhile; nothing was written twice"):
            commit(settings, 0, 3, 1)
    assert read_table(settings.root, "recommendation_log").num_rows == 2
    assert read_table(settings.root, "rejected_lists").num_rows == 1


def test_a_commit_of_rejected_records_alone_moves_the_position(settings: Settings) -> None:
    assert commit(settings, 0, 2, 0, 1) == (0, 2)
    assert log_position(settings.root, "t", [0]) == {0: 2}
    assert fact(settings) == (True, "")
    row = read_table(settings.root, "rejected_lists").to_pylist()[0]
    assert (row["key"], row["value"]) == (b"u", b"bad")
    assert "malformed" in row["detail"]


def test_a_gap_in_the_ranges_is_found(settings: Settings) -> None:
    commit(settings, 0, 2)
    read = records(4, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served_lists, "_position", lambda *_: {})
        _commit(settings.root, "t", read, Ranges({0: 4}, {0: 6}, {}))
    passed, reason = fact(settings)
    assert not passed
    assert "partition 0: expected offset 2 next, found 4" in reason


def test_an_offset_with_two_rows_is_found(settings: Settings) -> None:
    commit(settings, 0, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served_lists, "_position", lambda *_: {})
        _commit(settings.root, "t", records(1), Ranges({0: 2}, {0: 3}, {}))
    passed, reason = fact(settings)
    assert not passed
    assert reason == "topic t, partition 0: offset 1 has 2 rows"


def test_a_commit_without_its_rows_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write = served_lists.append_to_table

    def half(table: DeltaTable, rows: Any, *options: Any) -> None:
        write(table, rows.slice(1), *options)

    monkeypatch.setattr(served_lists, "append_to_table", half)
    commit(settings, 0, 3)
    assert fact(settings) == (False, "a commit of {'0': [0, 3, 0]} counts 3 rows and has 2")


def test_rows_that_were_removed_later_are_no_finding(settings: Settings) -> None:
    commit(settings, 0, 3)
    DeltaTable(table_path(settings.root, "recommendation_log")).delete("kafka_offset = 1")
    assert fact(settings) == (True, "")
    assert log_position(settings.root, "t", [0]) == {0: 3}
    commit(settings, 3, 4)
    assert fact(settings) == (True, "")


def test_an_empty_log_is_contiguous(settings: Settings) -> None:
    assert fact(settings) == (True, "")


def test_what_expired_is_counted_and_what_the_broker_lost_is_refused(settings: Settings) -> None:
    marks = {0: Watermarks(5, 9), 1: Watermarks(0, 3)}
    assert _lost("log", {0: 2, 1: 3}, marks) == {0: 3}
    assert _lost("log", {}, marks) == {}
    with pytest.raises(TopicReplacedError, match="ends at offset 3, but was read up to offset 4"):
        _lost("log", {1: 4}, marks)
    commit(settings, 5, 7, lost=3)
    assert log_offsets_are_contiguous(settings).numbers["expired_before_read"] == 3
