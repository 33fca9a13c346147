"""The loop around the query, without Spark; `tests/integration` has the real one."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException

from recommender_assets.ingestion import stream as stream_module
from recommender_assets.ingestion import topic_position
from recommender_assets.ingestion.commits import LedgerRow
from recommender_assets.ingestion.stream import progress_line, stream
from recommender_assets.ingestion.streaming_query import BatchReport
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, TopicReplacedError, Watermarks
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.settings import Settings, load_settings

NO_SPARK: Any = None


class Run:
    """An ingestion and its query in one: plays its turn, then has ended."""

    def __init__(self, batches: int = 0, error: Exception | None = None) -> None:
        self.batches, self.error = batches, error
        self.next_offsets = {0: 5}
        self.isActive = False
        self.on_batch: Any = None

    def exception(self) -> Exception | None:
        return self.error


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(Path(__file__).parents[4] / "config.yaml", {"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@pytest.fixture
def told() -> list[str]:
    return []


def play(monkeypatch: pytest.MonkeyPatch, stop: threading.Event, *turns: Run | Exception) -> list[dict[str, str]]:
    """Let `stream` see one turn after the other; after the last one it is asked to stop."""
    waiting = list(turns)
    triggers = []

    def begin(_: Settings, on_batch: Any) -> tuple[Run, bool]:
        turn = waiting.pop(0)
        if not waiting:
            stop.set()
        if isinstance(turn, Exception):
            raise turn
        turn.on_batch = on_batch
        return turn, True

    def start(_: object, run: Run, **trigger: str) -> Run:
        triggers.append(trigger)
        for _batch in range(run.batches):
            run.on_batch(BatchReport([LedgerRow(0, 0, 5, accepted=5)], 0.5))
        return run

    monkeypatch.setattr(stream_module, "begin", begin)
    monkeypatch.setattr(stream_module, "start_query", start)
    monkeypatch.setattr(stream_module, "end_query", lambda *_: None)
    monkeypatch.setattr(topic_position, "watermarks", lambda *_: {0: Watermarks(0, 12), 1: Watermarks(3, 4)})
    monkeypatch.setattr(stream_module, "_LONGEST_PAUSE_S", 0.0)
    return triggers


def failed(message: str = "disk full") -> Exception:
    return StreamingQueryException(message)


def test_a_batch_is_told_with_rate_and_lag_and_observed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    stop = threading.Event()
    triggers = play(monkeypatch, stop, Run(batches=1))
    observed: list[BatchReport] = []
    stream(NO_SPARK, settings, stop, told.append, observed.append)
    assert [(batch.accepted, batch.seconds) for batch in observed] == [(5, 0.5)]
    assert told == ["5 records in 0.5 s (10/s): 5 accepted, 0 duplicate, 0 rejected; lag 8"]
    assert triggers == [{"processingTime": "10 seconds"}]


def test_an_unknown_lag_is_called_unknown(settings: Settings) -> None:
    batch = BatchReport([LedgerRow(0, 0, 9, 1_000, 2, 3), LedgerRow(1, 0, 9, 500)], 2.0)
    assert progress_line(batch, None) == (
        "1,505 records in 2.0 s (752/s): 1,500 accepted, 2 duplicate, 3 rejected; lag unknown"
    )
    assert "(0/s)" in progress_line(BatchReport([], 0.0), 0)


def test_a_broker_that_is_away_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    stop = threading.Event()
    play(monkeypatch, stop, *[BrokerUnreachableError("nobody answers")] * 5, Run(batches=1))
    stream(NO_SPARK, settings, stop, told.append)
    assert sum("nobody answers" in line for line in told) == 5
    assert "lag 8" in told[-1]


def test_a_failed_query_starts_again_and_progress_forgives(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    stop = threading.Event()
    turns = [Run(error=failed()), Run(error=failed()), Run(1, failed()), Run(error=failed()), Run()]
    play(monkeypatch, stop, *turns)
    stream(NO_SPARK, settings, stop, told.append)
    assert sum("disk full" in line for line in told) == 4


def test_a_query_that_fails_again_and_again_ends_the_stream(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    play(monkeypatch, threading.Event(), *[Run(error=failed())] * 3)
    with pytest.raises(StreamingQueryException, match="disk full"):
        stream(NO_SPARK, settings, threading.Event(), told.append)
    assert len(told) == 2


def test_a_topic_that_cannot_go_on_ends_the_stream_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    play(monkeypatch, threading.Event(), TopicReplacedError("created anew"))
    with pytest.raises(TopicReplacedError):
        stream(NO_SPARK, settings, threading.Event(), told.append)
    with WriterLease(settings.root, "afterwards"):
        pass


def test_only_one_writer(settings: Settings, told: list[str]) -> None:
    with WriterLease(settings.root, "ingestion"), pytest.raises(WriterBusyError, match="ingestion") as busy:
        stream(NO_SPARK, settings, threading.Event(), told.append)
    assert busy.value.purpose == "ingestion"


def test_who_waits_for_the_tables_gets_them_between_two_queries(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    stop, held = threading.Event(), threading.Event()
    endless = Run(batches=1)
    endless.isActive = True
    play(monkeypatch, stop, endless, Run(batches=1))

    def maintain() -> None:
        with WriterLease(settings.root, "maintenance", wait_s=30):
            held.set()
            assert not [line for line in told if "goes on" in line]
            time.sleep(0.3)

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 1:
            waiting.start()

    waiting, rescue = threading.Thread(target=maintain), threading.Timer(20, stop.set)
    rescue.start()
    stream(NO_SPARK, settings, stop, tell)
    rescue.cancel()
    waiting.join(40)
    assert held.is_set()
    assert ["lag" in line for line in told] == [True, False, False, True]
    assert told[1:3] == ["gave way to another process that writes the tables", "goes on"]


def test_a_stream_that_gave_way_can_be_stopped_while_it_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    stop = threading.Event()
    endless = Run(batches=1)
    endless.isActive = True
    play(monkeypatch, threading.Event(), endless)

    def maintain() -> None:
        with WriterLease(settings.root, "maintenance", wait_s=30):
            stop.set()
            ended.wait(30)

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 1:
            waiting.start()

    ended, waiting = threading.Event(), threading.Thread(target=maintain)
    rescue = threading.Timer(20, stop.set)
    rescue.start()
    stream(NO_SPARK, settings, stop, tell)
    rescue.cancel()
    ended.set()
    waiting.join(10)
    assert "goes on" not in told
