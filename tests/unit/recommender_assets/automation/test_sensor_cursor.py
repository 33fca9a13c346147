import pytest

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.log_trigger import LogCursor
from recommender_assets.automation.sensor_cursor import cursor_text, read_cursor


def test_what_is_written_is_read() -> None:
    cursor = LogCursor(attempts=Attempts().requested("here", 12.0))
    assert cursor != LogCursor()
    assert read_cursor(cursor_text(cursor), LogCursor) == cursor


@pytest.mark.parametrize("text", [None, "", "{}", "not json", "[]", '{"attempts": 7}'])
def test_what_cannot_be_read_starts_afresh(text: str | None) -> None:
    assert read_cursor(text, LogCursor) == LogCursor()
