from pathlib import Path

import msgspec
import pytest

from recommender_assets.ingestion.month_range import (
    HistoryRangeError,
    MonthRange,
    history_with_range,
    range_file,
    write_history_range,
)
from recommender_assets.settings import HistorySettings, Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def open_ended(settings: Settings) -> Settings:
    history = HistorySettings(source="csv", path="ratings.csv", first_month="", last_month="")
    return msgspec.structs.replace(settings, history=history)


def never() -> MonthRange:
    raise AssertionError("the source was read although the months are configured")


def test_before_the_file_is_written_the_configuration_counts(settings: Settings) -> None:
    assert history_with_range(settings) == settings.history


def test_configured_months_are_written_without_reading_the_source(settings: Settings) -> None:
    months = write_history_range(settings, never)
    assert (months.first_month, months.last_month) == ("1995-01", "2014-12")
    assert msgspec.json.decode(range_file(settings.root).read_bytes()) == msgspec.to_builtins(months)


def test_the_file_counts_until_it_is_written_anew(settings: Settings) -> None:
    write_history_range(settings, never)
    shorter = msgspec.structs.replace(settings.history, last_month="1999-06")
    changed = msgspec.structs.replace(settings, history=shorter)
    assert history_with_range(changed).last_month == "2014-12"
    write_history_range(changed, never)
    assert history_with_range(changed) == shorter


def test_open_months_come_from_the_source(settings: Settings) -> None:
    settings = open_ended(settings)
    with pytest.raises(HistoryRangeError, match="run `recommender init-tables`"):
        history_with_range(settings)
    write_history_range(settings, lambda: MonthRange(first_month="2001-02", last_month="2003-04"))
    history = history_with_range(settings)
    assert (history.start.isoformat(), history.end.isoformat()) == (
        "2001-02-01T00:00:00+00:00",
        "2003-05-01T00:00:00+00:00",
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b'{"first_month": "2001-02"}', b'{"first_month": "2001", "last_month": "2001-03"}'],
    ids=repr,
)
def test_a_damaged_file_is_named(settings: Settings, content: bytes) -> None:
    range_file(settings.root).write_bytes(content)
    with pytest.raises(HistoryRangeError, match=r"history_range\.json.*init-tables"):
        history_with_range(settings)
