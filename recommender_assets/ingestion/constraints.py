"""A second wall behind the decoder: rules that no row of a table may break, whoever writes it.

Spark and delta-rs enforce the declared CHECK constraints when they write. Ingestion commits files that its workers
wrote, which no engine looks at again, so the driver judges their statistics before it commits them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import table_path

_POSITION = ("topic_id", "kafka_partition", "kafka_offset")

REQUIRED: dict[TableName, tuple[str, ...]] = {
    "interactions": ("user_id", "event_type", "timestamp", "event_id", "event_key", *_POSITION, "ingested_at"),
    "rejected_events": ("reason", "detail", *_POSITION, "ingested_at"),
    "interaction_history": ("user_id", "item_id", "event_type", "timestamp", "event_id", "event_key"),
    "ingestion_ledger": ("topic", *_POSITION[:2], "from_offset", "to_offset", "status", "committed_at"),
}
"""Columns that are never null."""

_NOT_NEGATIVE: dict[TableName, tuple[str, ...]] = {
    "interactions": _POSITION[1:],
    "rejected_events": _POSITION[1:],
    "ingestion_ledger": ("kafka_partition", "from_offset", "accepted", "duplicate", "rejected", "lost"),
}
_FURTHER: dict[TableName, dict[str, str]] = {
    "interactions": {"item_id_unless_forget": "event_type = 'forget' OR item_id IS NOT NULL"},
    "ingestion_ledger": {
        "ranges_do_not_run_backwards": "from_offset <= to_offset",
        "counts_add_up": "read = accepted + duplicate + rejected",
    },
    "removed_rows": {"ranges_are_not_empty": "from_offset < to_offset"},
}


class BrokenRowsError(RuntimeError):
    """Rows break a rule of their table; nothing was committed."""


def constraints(name: TableName) -> dict[str, str]:
    """Name -> SQL condition of every CHECK constraint of a table."""
    required = {f"{column}_is_there": f"{column} IS NOT NULL" for column in REQUIRED.get(name, ())}
    counts = {f"{column}_is_not_negative": f"{column} >= 0" for column in _NOT_NEGATIVE.get(name, ())}
    return required | counts | _FURTHER.get(name, {})


def declare_constraints(root: Path) -> None:
    """Declare the constraints that a table lacks; its rows are checked against them once.

    Raises:
        DeltaError: rows that are there break a rule.
    """
    for name in sorted(REQUIRED.keys() | _FURTHER.keys()):
        table = DeltaTable(table_path(root, name))
        there = table.metadata().configuration
        lacking = {key: rule for key, rule in constraints(name).items() if f"delta.constraints.{key}" not in there}
        if lacking:
            table.alter.add_constraint(lacking)


def require_sound(name: TableName, path: str, statistics: Mapping[str, Any]) -> None:
    """Judge a file by its Delta statistics, before it is committed.

    Raises:
        BrokenRowsError: a required column holds nulls, or an offset is negative.
    """
    nulls, lowest = statistics["nullCount"], statistics["minValues"]
    broken = [f"{nulls[column]} rows without {column}" for column in REQUIRED[name] if nulls[column]]
    broken += [f"{column} as low as {lowest[column]}" for column in _NOT_NEGATIVE[name] if lowest.get(column, 0) < 0]
    if broken:
        raise BrokenRowsError(f"{name}, file {path}: {'; '.join(broken)}; nothing was committed")
