import pytest

from recommender_assets.automation.log_trigger import LogCursor, decide_log_ingestion
from recommender_assets.automation.sensor_cursor import read_cursor


def test_something_unread_asks_for_a_run_and_nothing_does_not() -> None:
    assert decide_log_ingestion("p", 0, LogCursor(), 60, 1_000).skip == "no served list is unread"
    decision = decide_log_ingestion("p", 3, LogCursor(), 60, 1_000)
    assert (decision.skip, decision.reason) == (None, "3 unread records")


def test_the_next_request_is_an_interval_later_even_after_progress() -> None:
    cursor = decide_log_ingestion("p0", 3, LogCursor(), 60, 1_000).cursor
    early = decide_log_ingestion("p1", 5, cursor, 60, 1_020)
    assert early.skip == "5 records are unread: next request in 40 s"
    assert early.cursor == cursor
    assert decide_log_ingestion("p1", 5, cursor, 60, 1_060).skip is None


def test_without_progress_requests_become_rare() -> None:
    cursor, now, gaps = LogCursor(), 0.0, []
    for _ in range(4):
        since = now
        while (decision := decide_log_ingestion("p", 1, cursor, 5, now)).skip is not None:
            now += 5
        cursor = decision.cursor
        gaps.append(now - since)
    assert gaps == [5, 30, 60, 120]


@pytest.mark.parametrize("text", [None, "", "nonsense", "[]", '{"attempts": 3}'])
def test_a_foreign_cursor_starts_afresh(text: str | None) -> None:
    assert read_cursor(text, LogCursor) == LogCursor()
