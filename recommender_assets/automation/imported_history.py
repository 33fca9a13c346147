"""How much past was imported, and when the latest import ended."""

from pathlib import Path

import msgspec
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from recommender_assets.ingestion.tables import table_path


class ImportedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of `interaction_history`, and the time of the table's latest commit in epoch seconds."""

    rows: int
    committed_at: float


def imported_history(root: Path) -> ImportedHistory | None:
    """What was imported; None if nothing was, or the table was never created. Reads the transaction log only."""
    try:
        table = DeltaTable(table_path(root, "interaction_history"))
    except TableNotFoundError:
        return None
    rows = int(table.count())
    if not rows:
        return None
    (latest,) = table.history(1)
    return ImportedHistory(rows=rows, committed_at=latest["timestamp"] / 1_000)


def rows_at_version(root: Path, version: int | None) -> int | None:
    """How many rows the table had at a version: 0 before it existed (None); None if the log no longer reaches there."""
    if version is None:
        return 0
    try:
        return int(DeltaTable(table_path(root, "interaction_history"), version=version).count())
    except DeltaError:
        return None
