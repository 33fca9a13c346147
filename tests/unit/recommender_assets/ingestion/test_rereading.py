import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from recommender_assets.ingestion import rereading
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.rereading import RangeError, RequestedRange, Rereading, requested_range, reread
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.topic_position import DataExpiredError, Watermarks
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The ledger accounts for offsets 20 to 99 of partition 0; the broker still holds those from 50 on."""
    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    create_tables(settings.root)
    append_rows(settings.root, settings.streaming.topic, "id", [LedgerRow(0, 20, 60), LedgerRow(0, 60, 100)])
    monkeypatch.setattr(rereading, "topic_state", lambda *_: ("id", {0: Watermarks(50, 120), 1: Watermarks(0, 5)}))
    return settings


def no_spark() -> NoReturn:
    raise AssertionError("Spark was started")


@pytest.mark.parametrize(
    ("offsets", "timestamp", "expected"),
    [
        (("0:15",), None, RequestedRange({0: 15})),
        (("0:15", "3:0"), None, RequestedRange({0: 15, 3: 0})),
        ((), "2024-01-01T00:00:00Z", RequestedRange({}, 1_704_067_200_000)),
        ((), "2024-01-01T01:00:00+01:00", RequestedRange({}, 1_704_067_200_000)),
    ],
)
def test_a_range_is_named_by_offset_or_by_time(
    offsets: tuple[str, ...], timestamp: str | None, expected: RequestedRange
) -> None:
    assert requested_range(offsets, timestamp) == expected


@pytest.mark.parametrize(
    ("offsets", "timestamp", "problem"),
    [
        ((), None, "exactly one of them"),
        (("0:1",), "2024-01-01T00:00:00Z", "exactly one of them"),
        (("0",), None, "expected PARTITION:OFFSET like 0:1500, got 0"),
        (("0:-1",), None, "expected PARTITION:OFFSET"),
        (("0:1", "0:2"), None, "a partition may occur once"),
        ((), "yesterday", "expected RFC 3339"),
        ((), "2024-01-01T00:00:00", "expected RFC 3339 with an offset"),
        ((), "", "expected RFC 3339"),
    ],
)
def test_a_range_that_cannot_be_understood_is_refused(
    offsets: tuple[str, ...], timestamp: str | None, problem: str
) -> None:
    with pytest.raises(RangeError, match=problem):
        requested_range(offsets, timestamp)


@pytest.mark.parametrize(
    ("start", "error", "problem"),
    [
        ({0: 19}, RangeError, "0:19: the ingestion ledger begins at offset 20"),
        ({1: 0}, RangeError, "1:0: the ingestion ledger does not know this partition"),
        ({0: 30}, DataExpiredError, "0:30: the broker's first record is at offset 50"),
    ],
)
def test_only_what_was_read_and_is_still_there_is_read_again(
    settings: Settings, start: dict[int, int], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        reread(no_spark, settings, RequestedRange(start))


@pytest.mark.parametrize("start", [100, 110])
def test_what_was_not_read_yet_is_left_to_ingestion(settings: Settings, start: int) -> None:
    outcome = reread(no_spark, settings, RequestedRange({0: start}))
    assert (outcome.ranges, outcome.read, outcome.errors) == ({}, 0, [])
    assert "read again: nothing" in outcome.summary()


def test_nothing_is_read_again_beside_another_writer(settings: Settings) -> None:
    with WriterLease(settings.root, "ingestion"), pytest.raises(WriterBusyError, match="ingestion"):
        reread(no_spark, settings, RequestedRange({0: 60}))


@pytest.mark.parametrize(
    "found", [lambda *_: {0: 10}, lambda *_: {0: 99}, lambda *_: {}], ids=["early", "late", "none"]
)
def test_a_time_before_the_ledger_starts_where_the_ledger_does(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, found: Callable[..., dict[int, int]]
) -> None:
    monkeypatch.setattr(rereading, "offsets_at", found)
    monkeypatch.setattr(rereading, "topic_state", lambda *_: ("id", {0: Watermarks(0, 120)}))
    monkeypatch.setattr(rereading, "_records", lambda _spark, _settings, ranges: (_ for _ in ()).throw(Ranges(ranges)))
    expected = {(0, 10): {0: (20, 100)}, (0, 99): {0: (99, 100)}}.get(next(iter(found().items()), (-1, -1)))
    if expected is None:
        assert reread(no_spark, settings, RequestedRange({}, 1)).ranges == {}
        return
    with pytest.raises(Ranges) as ranges:
        reread(lambda: None, settings, RequestedRange({}, 1))  # type: ignore[arg-type, return-value]
    assert ranges.value.args[0] == expected


class Ranges(Exception):  # noqa: N818
    """Carries the ranges that would have been read."""


def test_the_summary_names_ranges_and_counts() -> None:
    outcome = Rereading({0: (5, 15), 2: (0, 1)}, 11, 2, 1, 1, [])
    assert outcome.summary() == (
        "read again: partition 0 offsets 5 to 14, partition 2 offsets 0 to 0; 11 records, 7 had their row, "
        "4 were put back (2 accepted, 1 duplicate, 1 rejected)"
    )


class Source:
    """Takes the options of a Kafka source."""

    def __init__(self) -> None:
        self.read = self
        self.chosen: dict[str, str] = {}

    def format(self, name: str) -> "Source":
        assert name == "kafka"
        return self

    def options(self, **chosen: str) -> "Source":
        self.chosen = chosen
        return self

    def load(self) -> "Source":
        return self


def test_a_range_is_read_as_ingestion_reads_it(settings: Settings) -> None:
    source: Any = Source()
    rereading._records(source, settings, {0: (50, 100)})
    topic = settings.streaming.topic
    assert source.chosen["kafka.isolation.level"] == "read_committed"
    assert json.loads(source.chosen["startingOffsets"]) == {topic: {"0": 50}}
    assert json.loads(source.chosen["endingOffsets"]) == {topic: {"0": 100}}
