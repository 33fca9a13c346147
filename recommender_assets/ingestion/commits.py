"""Commits to the tables of events and to the ledger, and taking back what a killed run committed without a ledger row.

Every commit of events carries the time of its ledger row as a Delta application transaction. A table whose transaction
is later than the ledger's last row therefore holds rows that no ledger row covers: that is seen in its metadata alone.
"""

import datetime as dt
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction, RemoveAction

from recommender_assets.ingestion.constraints import require_sound
from recommender_assets.ingestion.event_files import WrittenFile
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import append_to_table, read_table, table_path

_APPLICATION = "ingestion"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TICK = dt.timedelta(microseconds=1)


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


def next_commit_time(latest: dt.datetime | None) -> dt.datetime:
    """Now, but always later than the ledger's row before: the order must survive a clock that is set back."""
    now = dt.datetime.now(dt.UTC)
    return now if latest is None else max(now, latest + _TICK)


def latest_commit_time(root: Path) -> dt.datetime | None:
    """Time of the ledger's last row; None when it is empty."""
    latest: dt.datetime | None = pc.max(read_table(root, "ingestion_ledger", ["committed_at"])["committed_at"]).as_py()
    return latest


def commit_files(root: Path, name: TableName, files: Sequence[WrittenFile], committed_at: dt.datetime) -> None:
    """Make files part of a table in one commit; no files, no commit.

    Args:
        root: the storage root.
        name: the table.
        files: files below the table that no commit names yet.
        committed_at: time of the ledger row that will follow.

    Raises:
        BrokenRowsError: rows of a file break a rule of the table; nothing was committed.
    """
    if not files:
        return
    for file in files:
        require_sound(name, file.path, json.loads(file.stats))
    now_ms = int(time.time() * 1_000)
    actions: list[AddAction | RemoveAction] = [
        AddAction(file.path, file.size, {}, now_ms, True, file.stats) for file in files
    ]
    table = DeltaTable(table_path(root, name))
    table.create_write_transaction(actions, "append", table.schema(), commit_properties=_transaction(committed_at))


def append_rows(
    root: Path,
    topic: str,
    topic_id: str,
    rows: list[LedgerRow],
    *,
    generation: str = "",
    batch_id: int = 0,
    committed_at: dt.datetime | None = None,
) -> None:
    """Append rows of one micro-batch (or one acceptance) in a single commit.

    Args:
        root: the storage root.
        topic: name of the topic.
        topic_id: the broker's id of the topic.
        rows: one for each partition.
        generation: the checkpoint that made the micro-batch.
        batch_id: the micro-batch's number within its checkpoint.
        committed_at: as given to `commit_files`; None = the next time.
    """
    shared = {
        "generation": generation,
        "batch_id": batch_id,
        "topic": topic,
        "topic_id": topic_id,
        "committed_at": committed_at or next_commit_time(latest_commit_time(root)),
    }
    records = [
        shared | row.__dict__ | {"read": row.accepted + row.duplicate + row.rejected}
        for row in sorted(rows, key=lambda row: row.kafka_partition)
    ]
    table = pa.Table.from_pylist(records, schema=SCHEMAS["ingestion_ledger"])
    append_to_table(table_path(root, "ingestion_ledger"), table)


def remove_uncommitted(root: Path) -> int:
    """Delete rows that no ledger row covers, left by a run that ended before it wrote one; returns their number."""
    latest = latest_commit_time(root)
    return sum(_remove_later(root, name, latest) for name in ("interactions", "rejected_events"))


def _remove_later(root: Path, name: TableName, latest: dt.datetime | None) -> int:
    table = DeltaTable(table_path(root, name))
    transaction = table.transaction_version(_APPLICATION)
    if transaction is None or (latest is not None and transaction <= _microseconds(latest)):
        return 0
    done = table.delete(uncommitted(root), commit_properties=_transaction(latest or _EPOCH))
    return int(done["num_deleted_rows"])


def uncommitted(root: Path) -> str:
    """SQL condition for rows of `interactions` and `rejected_events` at or beyond what the ledger covers.

    Written without a negation, so that files are skipped by their statistics.
    """
    ledger = read_table(root, "ingestion_ledger", ["topic_id", "kafka_partition", "to_offset"])
    ends = ledger.group_by(["topic_id", "kafka_partition"]).aggregate([("to_offset", "max")]).to_pylist()
    outside = [
        f"(topic_id <> '{end['topic_id']}' OR kafka_partition <> {end['kafka_partition']}"
        f" OR kafka_offset >= {end['to_offset_max']})"
        for end in ends
    ]
    return " AND ".join(outside) or "true"


def _transaction(moment: dt.datetime) -> CommitProperties:
    return CommitProperties(app_transactions=[Transaction(_APPLICATION, _microseconds(moment))])


def _microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // _TICK
