"""When the topic should be ingested: pure decisions on watermarks, the ledger's position and earlier requests."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.ledger_news import SeenLedger, ledger_news
from recommender_assets.ingestion.ledger import LedgerPosition
from recommender_assets.ingestion.topic_position import (
    DataExpiredError,
    TopicReplacedError,
    Watermarks,
    verify_position,
)
from recommender_assets.settings import IngestionSettings


class IngestionCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor remembers between ticks.

    Attributes:
        topic_id: identity of the topic at the broker.
        end_offsets: high watermark by partition.
        unread_since: when each partition was first seen with the oldest record that is still unread.
        attempts: runs requested so far.
        ledger: how much of the ledger was read.
        ledger_topic_id, next_offsets: the ledger's position.
        is_broker_down: whether the previous tick got no answer, so that it is warned of once.
    """

    topic_id: str = ""
    end_offsets: dict[str, int] = {}
    unread_since: dict[str, float] = {}
    attempts: Attempts = Attempts()
    ledger: SeenLedger = SeenLedger()
    ledger_topic_id: str = ""
    next_offsets: dict[str, int] = {}
    is_broker_down: bool = False

    def position(self, topic: str) -> LedgerPosition:
        """Up to where the ledger accounts for the topic."""
        return LedgerPosition(topic, self.ledger_topic_id, {int(p): offset for p, offset in self.next_offsets.items()})


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Another process that writes the tables, and when a run last reported what is in them (0 = never)."""

    name: str
    reported_at: float


class Ingestion(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a tick: the new cursor, and why a run is wanted (`reason`) or not (`skip`)."""

    cursor: IngestionCursor
    skip: str | None
    reason: str = ""
    pending: int = 0


def follow_ledger(root: Path, topic: str, cursor: IngestionCursor) -> IngestionCursor:
    """The cursor with the ledger's position as it is now; only rows that are new are read."""
    news = ledger_news(root, topic, cursor.ledger)
    known = ("", {}) if news.is_whole else (cursor.ledger_topic_id, dict(cursor.next_offsets))
    topic_id, next_offsets = known
    rows = (news.rows[name].to_pylist() for name in ("topic_id", "kafka_partition", "to_offset"))
    for row_topic_id, partition, to_offset in zip(*rows, strict=True):
        if row_topic_id != topic_id:
            topic_id, next_offsets = row_topic_id, {}
        next_offsets[str(partition)] = to_offset
    return msgspec.structs.replace(cursor, ledger=news.seen, ledger_topic_id=topic_id, next_offsets=next_offsets)


def decide_ingestion(  # noqa: PLR0917 (six facts of one tick)
    topic_id: str,
    marks: Mapping[int, Watermarks],
    position: LedgerPosition,
    cursor: IngestionCursor,
    rules: IngestionSettings,
    now: float,
    writer: Writer | None = None,
) -> Ingestion:
    """Decide whether the records after the ledger's position should be ingested now.

    While another process writes the tables, a run can only report what that one ingested: it is wanted when the ledger
    has grown since the last report, at most every `report_seconds`.

    Args:
        topic_id: identity of the topic at the broker.
        marks: watermarks by partition.
        position: up to where the ledger accounts for the topic.
        cursor: what the previous tick left.
        rules: section `ingestion` of the configuration.
        now: seconds since the epoch.
        writer: who else writes the tables, None if nobody does.
    """
    unread = {p: mark.high - position.next_offsets.get(p, mark.low) for p, mark in sorted(marks.items())}
    seen = msgspec.structs.replace(
        cursor,
        topic_id=topic_id,
        end_offsets={str(partition): mark.high for partition, mark in sorted(marks.items())},
        unread_since=_unread_since(unread, position, cursor, now),
        is_broker_down=False,
    )
    try:
        verify_position(position, topic_id, dict(marks))
    except (TopicReplacedError, DataExpiredError) as refusal:
        return Ingestion(cursor=seen, skip=str(refusal))
    pending = sum(unread.values())
    if writer is not None:
        return _decide_report(seen, writer, rules, now, pending)
    if pending == 0:
        return Ingestion(cursor=seen, skip="nothing after the ledger's position")
    reason = _rule_that_holds(unread, seen, rules, now)
    if reason is None:
        return Ingestion(cursor=seen, skip=f"{pending} unread records: no rule of section ingestion holds yet")
    return _unless_too_early(seen, f"{topic_id} {sorted(position.next_offsets.items())}", reason, now, pending)


def _unread_since(
    unread: Mapping[int, int], position: LedgerPosition, cursor: IngestionCursor, now: float
) -> dict[str, float]:
    since = {}
    for partition, count in unread.items():
        name = str(partition)
        was_there = cursor.end_offsets.get(name, -1) > position.next_offsets.get(partition, 0)
        if count:
            since[name] = cursor.unread_since.get(name, now) if was_there else now
    return since


def _rule_that_holds(
    unread: Mapping[int, int], seen: IngestionCursor, rules: IngestionSettings, now: float
) -> str | None:
    total, lag, age = sum(unread.values()), max(unread.values()), now - min(seen.unread_since.values())
    if rules.after_records and total >= rules.after_records:
        return f"{total} unread records, after_records is {rules.after_records}"
    if rules.after_lag and lag >= rules.after_lag:
        return f"{lag} unread records in one partition, after_lag is {rules.after_lag}"
    if rules.after_seconds and age >= rules.after_seconds:
        return f"a record has been unread for {age:.0f} s, after_seconds is {rules.after_seconds:g}"
    return None


def _decide_report(
    seen: IngestionCursor, writer: Writer, rules: IngestionSettings, now: float, pending: int
) -> Ingestion:
    if seen.ledger.committed_at_us <= writer.reported_at * 1e6:
        skip = f"{writer.name} writes the tables, and everything in the ledger was reported"
        return Ingestion(cursor=seen, skip=skip, pending=pending)
    if (wait := writer.reported_at + rules.report_seconds - now) > 0:
        skip = f"{writer.name} writes the tables: next report in {wait:.0f} s"
        return Ingestion(cursor=seen, skip=skip, pending=pending)
    reason = f"report of what {writer.name} ingested"
    return _unless_too_early(seen, f"report {writer.reported_at}", reason, now, pending)


def _unless_too_early(seen: IngestionCursor, mark: str, reason: str, now: float, pending: int) -> Ingestion:
    wait = seen.attempts.wait(mark, now)
    if wait > 0:
        skip = (
            f"{pending} records wait, but {seen.attempts.count} request(s) at this position brought no progress: "
            f"next one in {wait:.0f} s"
        )
        return Ingestion(cursor=seen, skip=skip, pending=pending)
    requested = msgspec.structs.replace(seen, attempts=seen.attempts.requested(mark, now))
    return Ingestion(cursor=requested, skip=None, reason=reason, pending=pending)
