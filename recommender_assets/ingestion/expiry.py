"""Removes events that are older than they may be kept (`maintenance.keep_interactions_days`)."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
from deltalake import DeltaTable

from recommender_assets.ingestion.removed_rows import accepted_positions, rejected_positions, remove_rows
from recommender_assets.ingestion.rewriting import rewrite_files
from recommender_assets.ingestion.tables import open_dataset, table_path

_ROWS_PER_PASS = 2_000_000
_PLACE = ["topic_id", "kafka_partition", "kafka_offset"]


@dataclass(frozen=True)
class Expiry:
    """Rows that were removed, or in a dry run would be, by table."""

    interactions: int = 0
    rejected_events: int = 0
    history: int = 0


def expire(root: Path, before: dt.datetime, *, dry_run: bool = False) -> Expiry:
    """Remove events with `timestamp < before`, and rejected records whose Kafka record is older.

    `forget` rows stay: they say what must not come back. The caller holds the writer lease. May be killed and repeated.

    Args:
        root: the storage root.
        before: an instant with an offset.
        dry_run: only count.
    """
    is_old = pc.field("timestamp") < before
    is_accepted = is_old & (pc.field("event_type") != "forget")
    is_rejected = pc.field("kafka_timestamp") < before
    found = Expiry(
        open_dataset(root, "interactions").count_rows(filter=is_accepted),
        open_dataset(root, "rejected_events").count_rows(filter=is_rejected),
        open_dataset(root, "interaction_history").count_rows(filter=is_old),
    )
    if dry_run:
        return found
    for _ in range(0, found.interactions, _ROWS_PER_PASS):
        rows = open_dataset(root, "interactions").head(_ROWS_PER_PASS, columns=_PLACE, filter=is_accepted)
        remove_rows(root, "expired", accepted_positions(rows))
    for _ in range(0, found.rejected_events, _ROWS_PER_PASS):
        rows = open_dataset(root, "rejected_events").head(
            _ROWS_PER_PASS, columns=[*_PLACE, "reason"], filter=is_rejected
        )
        remove_rows(root, "expired", rejected_positions(rows))
    if found.history:
        history = DeltaTable(table_path(root, "interaction_history"))
        rewrite_files(root, "interaction_history", history, is_old, lambda rows: rows.filter(~is_old))
    return found
