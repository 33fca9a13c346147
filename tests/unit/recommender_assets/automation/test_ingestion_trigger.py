import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.ingestion_trigger import IngestionCursor, decide_ingestion, read_cursor
from recommender_assets.ingestion.ledger import LedgerPosition
from recommender_assets.ingestion.topic_position import Watermarks

MARKS = {0: Watermarks(0, 10), 1: Watermarks(3, 7)}
NEVER_READ = LedgerPosition("events")
NOW = 1_000.0


def position(**offsets: int) -> LedgerPosition:
    return LedgerPosition("events", "topic-1", {int(name[1:]): offset for name, offset in offsets.items()})


def test_a_topic_that_was_never_read_counts_from_its_low_watermarks() -> None:
    outcome = decide_ingestion("topic-1", MARKS, NEVER_READ, IngestionCursor(), NOW)
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
    outcome = decide_ingestion("topic-1", MARKS, position(**next_offsets), IngestionCursor(), NOW)
    assert (outcome.skip, outcome.pending) == (None, pending)


def test_nothing_after_the_position_is_no_reason() -> None:
    outcome = decide_ingestion("topic-1", MARKS, position(p0=10, p1=7), IngestionCursor(), NOW)
    assert outcome.skip == "nothing after the ledger's position"


def test_an_empty_topic_is_no_reason() -> None:
    outcome = decide_ingestion("topic-1", {0: Watermarks(0, 0)}, NEVER_READ, IngestionCursor(), NOW)
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
    outcome = decide_ingestion(topic_id, MARKS, position(**next_offsets), IngestionCursor(), NOW)
    assert outcome.skip is not None
    assert words in outcome.skip
    assert outcome.cursor.attempts.count == 0


def test_without_progress_requests_become_rarer_and_never_stop() -> None:
    cursor, now, requests = IngestionCursor(), NOW, []
    while now < NOW + 600:
        outcome = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), cursor, now)
        cursor = outcome.cursor
        if outcome.skip is None:
            requests.append(now - NOW)
        else:
            assert "brought no progress" in outcome.skip
        now += 5
    assert requests == [0, 30, 90, 210, 450]


def test_new_records_do_not_shorten_the_pause() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), IngestionCursor(), NOW)
    grown = {0: Watermarks(0, 99), 1: Watermarks(3, 7)}
    second = decide_ingestion("topic-1", grown, position(p0=4, p1=7), first.cursor, NOW + 5)
    assert second.skip is not None
    assert second.cursor.end_offsets == {"0": 99, "1": 7}


def test_progress_allows_the_next_request_at_once() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), IngestionCursor(), NOW)
    assert decide_ingestion("topic-1", MARKS, position(p0=5, p1=7), first.cursor, NOW + 5).skip is None


@pytest.mark.parametrize("cursor", [None, "", "[1]", '{"attempts": 3}', "not json"])
def test_a_foreign_cursor_starts_afresh(cursor: str | None) -> None:
    assert read_cursor(cursor) == IngestionCursor()


def test_the_cursor_survives_its_encoding() -> None:
    cursor = IngestionCursor(topic_id="t", end_offsets={"0": 3}, attempts=Attempts(mark="m", count=2, requested_at=1.5))
    assert read_cursor(msgspec.json.encode(cursor).decode()) == cursor


@given(
    data=st.dictionaries(
        st.integers(0, 12), st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1
    )
)
def test_what_waits_is_the_sum_over_all_partitions(data: dict[int, tuple[int, int, int]]) -> None:
    marks = {p: Watermarks(low, low + read + waiting) for p, (low, read, waiting) in data.items()}
    next_offsets = {p: low + read for p, (low, read, _) in data.items()}
    ledger = LedgerPosition("events", "topic-1", next_offsets)
    outcome = decide_ingestion("topic-1", marks, ledger, IngestionCursor(), NOW)
    waiting = sum(waiting for _, _, waiting in data.values())
    assert outcome.pending == waiting
    assert (outcome.skip is None) == (waiting > 0)
    assert outcome.cursor.attempts.count == (1 if waiting else 0)
    assert list(outcome.cursor.end_offsets) == [str(partition) for partition in sorted(marks)]
    assert read_cursor(msgspec.json.encode(outcome.cursor).decode()) == outcome.cursor


def test_progress_of_one_partition_is_progress() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=5), IngestionCursor(), NOW)
    assert decide_ingestion("topic-1", MARKS, position(p0=4, p1=5), first.cursor, NOW + 5).skip is not None
    assert decide_ingestion("topic-1", MARKS, position(p0=4, p1=6), first.cursor, NOW + 5).skip is None


def test_an_idle_or_refused_tick_keeps_the_requests_made_so_far() -> None:
    attempts = Attempts(mark="m", count=3, requested_at=NOW)
    cursor = IngestionCursor(attempts=attempts)
    idle = decide_ingestion("topic-1", MARKS, position(p0=10, p1=7), cursor, NOW)
    refused = decide_ingestion("topic-2", MARKS, position(p0=10, p1=7), cursor, NOW)
    assert idle.cursor.attempts == refused.cursor.attempts == attempts
    assert (idle.pending, refused.pending) == (0, 0)


def test_a_pause_says_how_much_waits_and_until_when() -> None:
    first = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), IngestionCursor(), NOW)
    second = decide_ingestion("topic-1", MARKS, position(p0=4, p1=7), first.cursor, NOW + 10)
    assert second.pending == 6
    assert second.skip == "6 records wait, but 1 request(s) at this position brought no progress: next one in 20 s"
    assert second.cursor.attempts == first.cursor.attempts
