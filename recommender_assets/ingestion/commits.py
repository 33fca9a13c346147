"""Writing to the ledger, and taking back rows of a run that ended before it wrote there."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from recommender_assets.ingestion.ledger import ledger_rows
from recommender_assets.ingestion.tables import SCHEMAS, TableName, read_table, table_path


@dataclass(frozen=True)
class LedgerRow:
    """One row to be written: a range of offsets, `to_offset` not included, and the counts of what it held."""

    kafka_partition: int
    from_offset: int
    to_offset: int
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    lost: int = 0
    status: Literal["read", "lost", "accepted"] = "read"


def append_rows(
    root: Path, topic: str, topic_id: str, rows: list[LedgerRow], *, generation: str = "", batch_id: int = 0
) -> None:
    """Append rows of one micro-batch (or one acceptance) in a single commit.

    Args:
        root: the storage root.
        topic: name of the topic.
        topic_id: the broker's id of the topic.
        rows: one for each partition.
        generation: the checkpoint that made the micro-batch.
        batch_id: the micro-batch's number within its checkpoint.
    """
    shared = {
        "generation": generation,
        "batch_id": batch_id,
        "topic": topic,
        "topic_id": topic_id,
        "committed_at": _next_commit_time(root, topic),
    }
    records = [
        shared | row.__dict__ | {"read": row.accepted + row.duplicate + row.rejected}
        for row in sorted(rows, key=lambda row: row.kafka_partition)
    ]
    table = pa.Table.from_pylist(records, schema=SCHEMAS["ingestion_ledger"])
    write_deltalake(table_path(root, "ingestion_ledger"), table, mode="append")


def remove_uncommitted(root: Path) -> int:
    """Delete rows that no ledger row covers, left by a run that ended before it wrote one; returns their number."""
    condition = uncommitted(root)
    return sum(_delete(root, name, condition) for name in ("interactions", "rejected_events"))


def uncommitted(root: Path) -> str:
    """SQL condition for rows of `interactions` and `rejected_events` at or beyond what the ledger covers."""
    ledger = read_table(root, "ingestion_ledger", ["topic_id", "kafka_partition", "to_offset"])
    ends = ledger.group_by(["topic_id", "kafka_partition"]).aggregate([("to_offset", "max")]).to_pylist()
    covered = [
        f"(topic_id = '{end['topic_id']}' AND kafka_partition = {end['kafka_partition']}"
        f" AND kafka_offset < {end['to_offset_max']})"
        for end in ends
    ]
    return f"NOT ({' OR '.join(covered)})" if covered else "true"


def _delete(root: Path, name: TableName, condition: str) -> int:
    table = DeltaTable(table_path(root, name))
    return int(table.delete(condition)["num_deleted_rows"]) if table.file_uris() else 0


def _next_commit_time(root: Path, topic: str) -> dt.datetime:
    """Now, but never earlier than the row before: the order of rows must survive a clock that is set back."""
    latest = pc.max(ledger_rows(root, topic)["committed_at"]).as_py()
    now = dt.datetime.now(dt.UTC)
    return now if latest is None else max(now, latest + dt.timedelta(microseconds=1))
