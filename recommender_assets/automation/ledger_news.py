"""What the ingestion ledger has that an earlier tick has not seen: a tick never reads the whole ledger again."""

import datetime as dt
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import read_table, table_version

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STATISTICS_PRECISION = dt.timedelta(milliseconds=1)  # file statistics may cut off the microseconds


class SeenLedger(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the ledger was seen: the table's version, and the time of the last row in epoch microseconds."""

    version: int = -1
    committed_at_us: int = 0


class LedgerNews(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the ledger in the order in which they were written.

    Attributes:
        rows: the rows that were not seen before.
        seen: what is seen now.
        is_whole: whether these are all rows, so that what was added up before no longer counts.
    """

    rows: pa.Table
    seen: SeenLedger
    is_whole: bool


def ledger_news(root: Path, topic: str, seen: SeenLedger) -> LedgerNews:
    """The topic's rows after `seen`; all of them when the table went back to an older version."""
    version = table_version(root, "ingestion_ledger")
    if version is None or version == seen.version:
        return LedgerNews(rows=SCHEMAS["ingestion_ledger"].empty_table(), seen=seen, is_whole=version is None)
    is_whole = seen.version < 0 or version < seen.version
    since_us = 0 if is_whole else seen.committed_at_us
    since = _EPOCH + dt.timedelta(microseconds=since_us)
    condition = (pc.field("topic") == topic) & (pc.field("committed_at") > since - _STATISTICS_PRECISION)
    rows = read_table(root, "ingestion_ledger", condition=condition)
    rows = rows.filter(pc.field("committed_at") > since)
    rows = rows.sort_by([("committed_at", "ascending"), ("kafka_partition", "ascending")])
    latest = pc.max(rows["committed_at"].cast(pa.int64())).as_py()
    return LedgerNews(
        rows=rows,
        seen=SeenLedger(version=version, committed_at_us=since_us if latest is None else latest),
        is_whole=is_whole,
    )
