from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.ingestion_trigger import (
    IngestionCursor,
    Writer,
    decide_ingestion,
    follow_ledger,
)
from recommender_assets.automation.ledger_news import SeenLedger
from recommender_assets.automation.sensor_cursor import read_cursor
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.ledger import LedgerPosition
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.topic_position import Watermarks
from recommender_assets.settings import IngestionSettings

MARKS = {0: Watermarks(0, 10), 1: Watermarks(3, 7)}
NEVER_READ = LedgerPosition("events")
NOW = 1_000.0
RULES = IngestionSettings()


def position(**offsets: int) -> LedgerPosition:
    return LedgerPosition("events", "topic-1", {int(name[1:]): offset for name, offset in offsets.items()})


def test_a_topic_that_was_never_read_counts_from_its_low_watermarks() -> None:
    outcome = decide_ingestion("topic-1", MARKS, NEVER_READ, IngestionCursor(), RULES, NOW)
    assert outcome.skip is None
    assert outcome.pending == 14
    assert outcome.cursor.end_offsets == {"0": 10, "1": 7}
    assert outcome.cursor.attempts.count == 1


@pytest.mark.parametrize(
    ("next_offsets", "pending"),
    [({"p0": 10, "p1": 6}, 1), ({"p0": 4, "p1": 7}, 6), ({"p0": 10}, 4)],
    ids=["one partition", "the other", "a partition that is new"],
)
def test_what_lies_after_the_position_is_wanted(next_offsets: dict[str, int], pending: int) -> None:
    outcome = decide_ingestion("topic-1", MARKS, position(**next_offsets), IngestionCursor(), RULES, NOW)
    assert (outcome.skip, outcome.pending) == (None, pending)


def test_nothing_after_the_position_is_no_reason() -> None:
    outcome = decide_ingestion("topic-1", MARKS, position(p0=10, p1=7), IngestionCursor(), RULES, NOW)
    assert outcome.skip == "nothing after the ledger's position"


def test_an_empty_topic_is_no_reason() -> None:
    outcome = decide_ingestion("topic-1", {0: Watermarks(0, 0)}, NEVER_READ, IngestionCursor(), RULES, NOW)
    assert outcome.skip == "nothing after the ledger's position"


@pytest.mark.parametrize(
    ("topic_id", "next_offsets", "words"),
    [
        ("topic-2", {"p0": 10, "p1": 7}, "created anew"),
        ("topic-1", {"p0": 11, "p1": 7}, "ends at offset 10"),
        ("topic-1", {"p0": 10, "p1": 2}, "expired before they were read"),
    ],
    ids=["re-created", "shorter", "expired"],
)
def test_a_topic_that_cannot_continue_is_left_alone(topic_id: str, next_offsets: dict[str, int], words: str) -> None:
    outcome = decide_ingestion(topic_id, MARKS, position(**next_offsets), IngestionCursor(), RULES, NOW)
    assert outcome.skip is not None
    assert words in outcome.skip
    assert outcome.cursor.attempts.count == 0


def test_without_progress_requests_become_rarer_and_never_stop() -> None:
    cursor, now, requests = IngestionCursor(), NOW, []
    while now < NOW + 600:
        outcome = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), cursor, RULES, now)
        cursor = outcome.cursor
        if outcome.skip is None:
            requests.append(now - NOW)
        else:
            assert "brought no progress" in outcome.skip
        now += 5
    assert requests == [0, 30, 90, 210, 450]


def test_new_records_do_not_shorten_the_pause() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), IngestionCursor(), RULES, NOW)
    grown = {0: Watermarks(0, 99), 1: Watermarks(3, 7)}
    second = decide_ingestion("topic-1", grown, position(p0=4, p1=7), first.cursor, RULES, NOW + 5)
    assert second.skip is not None
    assert second.cursor.end_offsets == {"0": 99, "1": 7}


def test_progress_allows_the_next_request_at_once() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), IngestionCursor(), RULES, NOW)
    assert decide_ingestion("topic-1", MARKS, position(p0=5, p1=7), first.cursor, RULES, NOW + 5).skip is None


@pytest.mark.parametrize("cursor", [None, "", "[1]", '{"attempts": 3}', "not json"])
def test_a_foreign_cursor_starts_afresh(cursor: str | None) -> None:
    assert read_cursor(cursor, IngestionCursor) == IngestionCursor()


def test_the_cursor_survives_its_encoding() -> None:
    cursor = IngestionCursor(topic_id="t", end_offsets={"0": 3}, attempts=Attempts(mark="m", count=2, requested_at=1.5))
    assert read_cursor(msgspec.json.encode(cursor).decode(), IngestionCursor) == cursor


@given(
    data=st.dictionaries(
        st.integers(0, 12), st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1
    )
)
def test_what_waits_is_the_sum_over_all_partitions(data: dict[int, tuple[int, int, int]]) -> None:
    marks = {p: Watermarks(low, low + read + waiting) for p, (low, read, waiting) in data.items()}
    next_offsets = {p: low + read for p, (low, read, _) in data.items()}
    ledger = LedgerPosition("events", "topic-1", next_offsets)
    outcome = decide_ingestion("topic-1", marks, ledger, IngestionCursor(), RULES, NOW)
    waiting = sum(waiting for _, _, waiting in data.values())
    assert outcome.pending == waiting
    assert (outcome.skip is None) == (waiting > 0)
    assert outcome.cursor.attempts.count == (1 if waiting else 0)
    assert list(outcome.cursor.end_offsets) == [str(partition) for partition in sorted(marks)]
    assert read_cursor(msgspec.json.encode(outcome.cursor).decode(), IngestionCursor) == outcome.cursor


def test_progress_of_one_partition_is_progress() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=5), IngestionCursor(), RULES, NOW)
    assert decide_ingestion("topic-1", MARKS, position(p0=4, p1=5), first.cursor, RULES, NOW + 5).skip is not None
    assert decide_ingestion("topic-1", MARKS, position(p0=4, p1=6), first.cursor, RULES, NOW + 5).skip is None


def test_an_idle_or_refused_tick_keeps_the_requests_made_so_far() -> None:
    attempts = Attempts(mark="m", count=3, requested_at=NOW)
    cursor = IngestionCursor(attempts=attempts)
    idle = decide_ingestion("topic-1", MARKS, position(p0=10, p1=7), cursor, RULES, NOW)
    refused = decide_ingestion("topic-2", MARKS, position(p0=10, p1=7), cursor, RULES, NOW)
    assert idle.cursor.attempts == refused.cursor.attempts == attempts
    assert (idle.pending, refused.pending) == (0, 0)


def test_a_pause_says_how_much_waits_and_until_when() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), IngestionCursor(), RULES, NOW)
    second = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), first.cursor, RULES, NOW + 10)
    assert second.pending == 6
    assert second.skip == "6 records wait, but 1 request(s) at this position brought no progress: next one in 20 s"
    assert second.cursor.attempts == first.cursor.attempts


def test_a_count_of_all_partitions_starts_a_run() -> None:
    rules = IngestionSettings(after_records=5)
    few = decide_ingestion("topic-1", MARKS, position(p0=8, p1=5), IngestionCursor(), rules, NOW)
    assert few.skip == "4 unread records: no rule of section ingestion holds yet"
    enough = decide_ingestion("topic-1", MARKS, position(p0=8, p1=4), IngestionCursor(), rules, NOW)
    assert (enough.skip, enough.reason) == (None, "5 unread records, after_records is 5")


def test_the_lag_of_one_partition_starts_a_run() -> None:
    rules = IngestionSettings(after_records=0, after_lag=4)
    assert decide_ingestion("topic-1", MARKS, position(p0=7, p1=4), IngestionCursor(), rules, NOW).skip
    behind = decide_ingestion("topic-1", MARKS, position(p0=6, p1=7), IngestionCursor(), rules, NOW)
    assert (behind.skip, behind.reason) == (None, "4 unread records in one partition, after_lag is 4")


def test_the_age_of_the_oldest_unread_record_starts_a_run() -> None:
    rules = IngestionSettings(after_records=0, after_seconds=20)
    cursor, ages = IngestionCursor(), []
    for now in range(0, 40, 5):
        # A record arrives at every tick, and at 10 s everything that had arrived by then was read.
        end = 10 + now
        read = 10 if now < 10 else 20
        marks = {0: Watermarks(0, end)}
        outcome = decide_ingestion("topic-1", marks, position(p0=read), cursor, rules, NOW + now)
        cursor = outcome.cursor
        if outcome.skip is None:
            ages.append(now)
            assert "has been unread for 20 s" in outcome.reason
            break
    assert ages == [35], "the oldest of the records that are left was first seen at 15 s"


def test_another_writer_is_only_reported() -> None:
    cursor = IngestionCursor(ledger=SeenLedger(version=3, committed_at_us=500 * 10**6))
    rules = IngestionSettings(report_seconds=60)

    def decide(reported_at: float, now: float = NOW, before: IngestionCursor = cursor) -> str | None:
        writer = Writer(name="stream (host, process 1)", reported_at=reported_at)
        return decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), before, rules, now, writer).skip

    assert decide(reported_at=400) is None
    assert decide(reported_at=0) is None
    assert (
        decide(reported_at=501)
        == "stream (host, process 1) writes the tables, and everything in the ledger was reported"
    )
    assert decide(reported_at=450, now=500) == "stream (host, process 1) writes the tables: next report in 10 s"


def test_a_report_that_fails_is_not_asked_for_at_every_tick() -> None:
    cursor = IngestionCursor(ledger=SeenLedger(version=3, committed_at_us=500 * 10**6))
    writer = Writer(name="stream", reported_at=400)
    requests = []
    for now in range(0, 200, 5):
        outcome = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), cursor, RULES, NOW + now, writer)
        cursor = outcome.cursor
        requests += [now] if outcome.skip is None else []
    assert requests == [0, 30, 90]


def test_the_ledger_is_followed_without_reading_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_tables(tmp_path)
    append_rows(tmp_path, "events", "t1", [LedgerRow(0, 0, 10), LedgerRow(1, 0, 5)])
    cursor = follow_ledger(tmp_path, "events", IngestionCursor())
    assert (cursor.ledger_topic_id, cursor.next_offsets) == ("t1", {"0": 10, "1": 5})
    append_rows(tmp_path, "events", "t1", [LedgerRow(0, 10, 12)])
    cursor = follow_ledger(tmp_path, "events", cursor)
    assert cursor.position("events") == LedgerPosition("events", "t1", {0: 12, 1: 5})
    append_rows(tmp_path, "events", "t2", [LedgerRow(0, 3, 3, status="accepted")])
    cursor = follow_ledger(tmp_path, "events", cursor)
    assert cursor.position("events") == LedgerPosition("events", "t2", {0: 3})
    monkeypatch.setattr("recommender_assets.automation.ledger_news.read_table", lambda *_, **__: pytest.fail("read"))
    assert follow_ledger(tmp_path, "events", cursor) == cursor
