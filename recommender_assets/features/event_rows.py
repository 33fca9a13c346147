"""Reads every event that stands from the Delta tables, as of one position, without a JVM."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender_assets.ingestion.forgetting import without_forgotten
from recommender_assets.ingestion.ledger import ledger_position
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import read_table, table_version
from recommender_serving.engine.manifest import Position

_EVENT = ["user_id", "item_id", "event_type", "rating", "timestamp", "event_key"]
_RECORD = ["topic_id", "kafka_partition", "kafka_offset", "ingested_at"]
_TABLES: tuple[TableName, ...] = ("interaction_history", "interactions", "items")
_ALL_TABLES: tuple[TableName, ...] = (*_TABLES, "ingestion_ledger")


def current_position(root: Path, topic: str) -> Position:
    """The ledger's position and the version of every table that a matrix is built from.

    The ledger is read first: it is written last, so the rows below its position are in the tables by then.

    Raises:
        FileNotFoundError: a table was never created.
    """
    missing = [name for name in _ALL_TABLES if table_version(root, name) is None]
    if missing:
        raise FileNotFoundError(f"no table {', '.join(missing)} under {root}: run `recommender init-tables` first")
    ledger = ledger_position(root, topic)
    versions = {name: table_version(root, name) for name in _TABLES}
    return Position(
        table_versions={name: version for name, version in versions.items() if version is not None},
        topic=topic,
        topic_id=ledger.topic_id,
        next_offsets={str(partition): int(offset) for partition, offset in ledger.next_offsets.items()},
    )


def read_event_rows(root: Path, position: Position) -> pa.Table:
    """All events up to a position that no user asked to forget.

    Returns:
        Columns `user_id`, `item_id`, `event_type`, `rating`, `timestamp`, `event_key`; no `forget` rows.
    """
    versions = position.table_versions
    history = read_table(root, "interaction_history", _EVENT, version=versions["interaction_history"])
    interactions = read_table(root, "interactions", _EVENT + _RECORD, version=versions["interactions"])
    interactions = interactions.filter(pa.array(_is_committed(interactions, position)))
    history, interactions = without_forgotten(history, interactions)
    return pa.concat_tables([history, interactions.select(_EVENT)])


def read_items(root: Path, position: Position) -> pa.Table:
    """The catalogue as of a position: `item_id`, `title`, `categories`, `year`."""
    return read_table(root, "items", version=position.table_versions["items"])


def _is_committed(interactions: pa.Table, position: Position) -> NDArray[np.bool_]:
    """Rows below the ledger's position; those of earlier topics are all committed."""
    if not position.topic_id:
        return np.zeros(interactions.num_rows, dtype=np.bool_)
    is_current = pc.equal(interactions["topic_id"], position.topic_id).to_numpy()
    partition = interactions["kafka_partition"].to_numpy()
    next_offset = np.zeros(int(partition.max(initial=-1)) + 1, dtype=np.int64)
    for name, offset in position.next_offsets.items():
        if int(name) < len(next_offset):
            next_offset[int(name)] = offset
    return np.asarray(~is_current | (interactions["kafka_offset"].to_numpy() < next_offset[partition]))
