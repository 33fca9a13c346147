"""Metrics of ingestion, from the ledger and the rejected events; only rows that are new are read."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping

import pyarrow.compute as pc

from recommender_assets.automation.ledger_news import SeenLedger, ledger_news
from recommender_assets.ingestion.tables import read_table
from recommender_assets.monitoring.metric import MetricDefinition, Samples
from recommender_assets.settings import Settings

RECORDS = MetricDefinition(
    "recommender_ingestion_records_total",
    "counter",
    "Kafka records by what the ingestion ledger says became of them: accepted, duplicate, rejected, or lost unread.",
    ("result",),
)
REJECTED = MetricDefinition(
    "recommender_ingestion_rejected_records_total",
    "counter",
    "Rows of rejected_events by reason; `duplicate` is one of them.",
    ("reason",),
)
BATCHES = MetricDefinition(
    "recommender_ingestion_batches_total", "counter", "Micro-batches with records that were committed to the ledger."
)
LAST_COMMIT = MetricDefinition(
    "recommender_ingestion_last_commit_timestamp_seconds", "gauge", "Unix time of the latest row of the ledger."
)
TABLE_METRICS = (RECORDS, REJECTED, BATCHES, LAST_COMMIT)

_RESULTS = ("accepted", "duplicate", "rejected", "lost")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STATISTICS_PRECISION = dt.timedelta(milliseconds=1)  # file statistics may cut off the microseconds


class TableMetrics:
    """Adds up what is new in the tables since the reading before.

    Args:
        settings: storage root and topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._root = settings.root
        self._topic = settings.streaming.topic
        self._seen = SeenLedger()
        self._records: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._batches = 0
        self._last_commit = _EPOCH
        self._rejected_until = _EPOCH

    def read(self) -> Mapping[MetricDefinition, Samples]:
        """The metrics now; those of the ledger are absent before the first row.

        Raises:
            TableNotFoundError: the tables were never created (`recommender init-tables`).
        """
        self._read_ledger()
        self._read_rejected()
        readings: dict[MetricDefinition, Samples] = {
            RECORDS: {(result,): self._records[result] for result in _RESULTS},
            REJECTED: {(reason,): count for reason, count in self._rejected.items()},
            BATCHES: {(): self._batches},
        }
        if self._last_commit > _EPOCH:
            readings[LAST_COMMIT] = {(): self._last_commit.timestamp()}
        return readings

    def _read_ledger(self) -> None:
        news = ledger_news(self._root, self._topic, self._seen)
        if news.is_whole:
            self._records.clear()
            self._rejected.clear()
            self._batches, self._last_commit, self._rejected_until = 0, _EPOCH, _EPOCH
        for result in _RESULTS:
            self._records[result] += pc.sum(news.rows[result]).as_py() or 0
        self._batches += len(news.rows.filter(pc.field("status") == "read")["committed_at"].unique())
        self._last_commit = pc.max(news.rows["committed_at"]).as_py() or self._last_commit
        self._seen = news.seen

    def _read_rejected(self) -> None:
        """Rows carry the time of their ledger row; those beyond the ledger may yet be taken back."""
        if self._rejected_until == self._last_commit:
            return
        moment = pc.field("ingested_at")
        may_be_new = (moment > self._rejected_until - _STATISTICS_PRECISION) & (moment <= self._last_commit)
        rows = read_table(self._root, "rejected_events", ["reason", "ingested_at"], condition=may_be_new)
        reasons = rows.filter(moment > self._rejected_until)["reason"]
        self._rejected.update(reasons.to_pylist())
        self._rejected_until = self._last_commit
