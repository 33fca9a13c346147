"""Continuous ingestion: the same query as the `interactions` asset, a micro-batch at each interval until stopped."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from recommender_assets.ingestion.streaming_query import BatchReport, begin, end_query, start_query
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, unread
from recommender_assets.ingestion.writer_lease import STREAM, WriterBusyError, WriterLease
from recommender_assets.settings import Settings

_LONGEST_PAUSE_S = 30.0
_FAILURES_WITHOUT_PROGRESS = 3
_POLL_S = 0.2
_PATIENCE_S = 1.0  # between two looks whether to stop


@dataclass
class _Failures:
    """Failures since the last micro-batch that was committed, and how long to wait after them."""

    count: int = 0

    @property
    def pause_s(self) -> float:
        return min(2.0**self.count, _LONGEST_PAUSE_S)


def stream(
    spark: SparkSession,
    settings: Settings,
    stop: threading.Event,
    tell: Callable[[str], None],
    observe: Callable[[BatchReport], None] = lambda _: None,
) -> None:
    """Ingest until `stop` is set, then finish the micro-batch at hand.

    Another process that waits for the tables gets them after the micro-batch at hand; then the query goes on where its
    ledger ends. A broker that is away is waited for. Any other failure starts the query again from the ledger's
    position, and ends the stream when it happens three times without a micro-batch in between.

    Args:
        spark: the session.
        settings: the validated settings.
        stop: set by whoever wants the end.
        tell: takes one line for each micro-batch and each failure.
        observe: takes each micro-batch when it is committed.

    Raises:
        TopicMissingError, TopicReplacedError, DataExpiredError: see `topic_position`.
        WriterBusyError: another process writes these tables.
        StreamingQueryException: micro-batches fail again and again.
    """
    failures = _Failures()

    def on_batch(batch: BatchReport) -> None:
        failures.count = 0
        observe(batch)
        tell(progress_line(batch, unread(settings.streaming, next_offsets())))

    def next_offsets() -> dict[int, int]:
        return ingestion.next_offsets

    for lease in _turns(settings, stop, tell):
        while not (stop.is_set() or lease.is_wanted()):
            try:
                ingestion, _ = begin(settings, on_batch)
                query = start_query(spark, ingestion, processingTime=settings.streaming.batch_interval)
                try:
                    while query.isActive and not (stop.wait(_POLL_S) or lease.is_wanted()):
                        pass
                finally:
                    end_query(query, ingestion)
                if error := query.exception():
                    raise error
            except BrokerUnreachableError as away:
                failures.count += 1
                tell(f"{away}; next attempt in {failures.pause_s:g} s")
                stop.wait(failures.pause_s)
            except StreamingQueryException as failed:
                failures.count += 1
                if failures.count >= _FAILURES_WITHOUT_PROGRESS:
                    raise
                tell(f"the query failed and starts again in {failures.pause_s:g} s: {_first_line(failed)}")
                stop.wait(failures.pause_s)


def _turns(settings: Settings, stop: threading.Event, tell: Callable[[str], None]) -> Iterator[WriterLease]:
    """The writer lease again and again: whoever waits for it (maintenance, `recommender forget`) gets it in between.

    Raises:
        WriterBusyError: another process writes the tables at the very start.
    """
    with WriterLease(settings.root, STREAM) as lease:
        yield lease
    while not stop.is_set():
        tell("gave way to another process that writes the tables")
        while lease.is_wanted() and not stop.wait(_POLL_S):
            pass
        while not stop.is_set():
            try:
                with WriterLease(settings.root, STREAM, wait_s=_PATIENCE_S) as lease:
                    tell("goes on")
                    yield lease
                break
            except WriterBusyError:
                continue


def progress_line(batch: BatchReport, lag: int | None) -> str:
    """One line about a micro-batch: what became of its records, rate and lag (records still unread)."""
    rate = batch.read / batch.seconds if batch.seconds else 0.0
    behind = "unknown" if lag is None else f"{lag:,}"
    return (
        f"{batch.read:,} records in {batch.seconds:.1f} s ({rate:,.0f}/s): {batch.accepted:,} accepted, "
        f"{batch.duplicate:,} duplicate, {batch.rejected:,} rejected; lag {behind}"
    )


def _first_line(error: StreamingQueryException) -> str:
    return str(error).strip().splitlines()[0]
