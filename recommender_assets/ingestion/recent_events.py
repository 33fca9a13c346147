"""What came last, apart from what was there before: read from the event tables without reading all of them at once."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender_assets.ingestion.ledger import ledger_rows
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import open_dataset, read_table
from recommender_serving.engine.config import RatingScale

RATING_BINS = 10
_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def recent_since(root: Path, topic: str, count: int) -> dt.datetime:
    """A time after which micro-batches with at least `count` accepted events were ingested; the beginning if fewer."""
    ledger = ledger_rows(root, topic)
    accepted = np.asarray(ledger["accepted"].to_pylist(), dtype=np.int64)
    from_the_end = np.cumsum(accepted[::-1])
    batches = int(np.searchsorted(from_the_end, count)) + 1
    if batches >= len(accepted):
        return _BEGINNING
    before: dt.datetime = ledger["committed_at"][len(accepted) - batches - 1].as_py()
    return before


def rating_counts(
    root: Path, table: TableName, scale: RatingScale, condition: pc.Expression | None = None
) -> NDArray[np.int64]:
    """(RATING_BINS,) number of ratings in equal steps of the scale, for rows where the condition holds."""
    rated = pc.field("rating").is_valid()
    counts = np.zeros(RATING_BINS, dtype=np.int64)
    wanted = rated if condition is None else condition & rated
    scanner = open_dataset(root, table).scanner(columns=["rating"], filter=wanted)
    for batch in scanner.to_batches():
        ratings = batch["rating"].to_numpy(zero_copy_only=False)
        counts += np.histogram(ratings, bins=RATING_BINS, range=(scale.min, scale.max))[0]
    return counts


def population_stability_index(expected: NDArray[np.int64], actual: NDArray[np.int64]) -> float:
    """PSI = sum over bins of (p - q) ln(p / q), p and q the shares in `actual` and `expected`.

    Below 0.1 distributions count as equal, above 0.25 as different (Siddiqi 2006, "Credit Risk Scorecards"). Half a
    count is added to every bin, so that an empty one is no infinity.
    """
    p, q = (counts.astype(np.float64) + 0.5 for counts in (actual, expected))
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def unknown_items(root: Path, since: dt.datetime) -> tuple[int, int]:
    """How many of the events ingested after a time name an item that the catalogue lacks, and how many there are."""
    condition = ingested_after(since) & pc.field("item_id").is_valid()
    recent = read_table(root, "interactions", ["item_id"], condition)["item_id"]
    known = read_table(root, "items", ["item_id"])["item_id"]
    found = pc.sum(pc.is_in(recent, value_set=known.combine_chunks())).as_py() if recent else 0
    if not len(known):
        return 0, len(recent)
    return len(recent) - int(found or 0), len(recent)


def ingested_after(since: dt.datetime) -> pc.Expression:
    """The condition that a row of `interactions` was ingested after a time."""
    return pc.field("ingested_at") > pa.scalar(since, pa.timestamp("us", tz="UTC"))
