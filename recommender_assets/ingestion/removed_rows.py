"""Rows that were taken out of the event tables on purpose: the ledger goes on counting them, and so do its checks.

Which offsets lost their row is written down before the rows are removed, and the commit that removes them carries the
removal's number as a Delta application transaction. What was written down counts from that commit on, so a run that is
killed in between removed nothing and is counted as nothing.
"""

import time
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction

from recommender_assets.ingestion.rewriting import rewrite_files
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import append_to_table, read_table, table_path

Cause = Literal["forgotten", "expired"]
Offsets = npt.NDArray[np.int64]
Place = tuple[str, int]
"""Topic id and partition."""

KINDS = ("accepted", "duplicate", "rejected")
TABLE_OF_KIND: dict[str, TableName] = {
    "accepted": "interactions",
    "duplicate": "rejected_events",
    "rejected": "rejected_events",
}
POSITIONS = pa.schema(
    [
        ("kind", pa.string()),
        *(SCHEMAS["interactions"].field(name) for name in ("topic_id", "kafka_partition", "kafka_offset")),
    ]
)
"""Rows to be removed: of which of `KINDS`, and where their record stood."""

_APPLICATION = "removal"
_LISTED_OFFSETS = 10_000  # longer lists cost more than they save
_TABLES: tuple[TableName, ...] = ("interactions", "rejected_events")


class RemovedRows:
    """What was removed so far, by kind and place, as runs of offsets."""

    def __init__(self, root: Path) -> None:
        rows = _counted(root)
        order = [(name, "ascending") for name in ("kind", "topic_id", "kafka_partition", "from_offset")]
        self._runs: dict[tuple[str, str, int], tuple[Offsets, Offsets, Offsets]] = {}
        rows = rows.sort_by(order)
        places = rows.group_by(["kind", "topic_id", "kafka_partition"], use_threads=False)
        start = 0
        for place in places.aggregate([([], "count_all")]).to_pylist():
            part = rows.slice(start, place["count_all"])
            start += place["count_all"]
            firsts, ends = part["from_offset"].to_numpy(), part["to_offset"].to_numpy()
            before = np.concatenate([[0], np.cumsum(ends - firsts)])
            self._runs[place["kind"], place["topic_id"], place["kafka_partition"]] = firsts, ends, before

    def count(self, kind: str, place: Place, first: int, end: int) -> int:
        """How many rows of a kind are gone whose offset lies in `first <= offset < end`."""
        return self._below(kind, place, end) - self._below(kind, place, first)

    def _below(self, kind: str, place: Place, offset: int) -> int:
        if (kind, *place) not in self._runs:
            return 0
        firsts, ends, before = self._runs[kind, *place]
        run = int(np.searchsorted(firsts, offset))
        return int(before[run]) - (max(int(ends[run - 1]) - offset, 0) if run else 0)


def remove_rows(root: Path, cause: Cause, positions: pa.Table) -> int:
    """Take rows out of `interactions` and `rejected_events`, rewriting only files that hold some of them.

    The caller holds the writer lease. After a kill the same call does what is left to do.

    Args:
        root: the storage root.
        cause: why.
        positions: of `POSITIONS`; each is the position of a row.

    Returns:
        Number of files that were replaced.
    """
    forget_unfinished(root)
    if not positions.num_rows:
        return 0
    number = max(time.time_ns() // 1_000, *(_latest(root, name) + 1 for name in _TABLES))
    append_to_table(table_path(root, "removed_rows"), _runs(positions, cause, number))
    properties = CommitProperties(app_transactions=[Transaction(_APPLICATION, number)])
    replaced = 0
    for name in _TABLES:
        kinds = [kind for kind in KINDS if TABLE_OF_KIND[kind] == name]
        places = _by_place(positions.filter(pc.field("kind").isin(kinds)))
        if places:
            table = DeltaTable(table_path(root, name))
            replaced += rewrite_files(
                root, name, table, _may_hold(places), _Without(places), commit_properties=properties
            )
    return replaced


def forget_unfinished(root: Path) -> None:
    """Delete what a killed removal wrote down without removing it."""
    table = DeltaTable(table_path(root, "removed_rows"))
    unfinished = [f"(kind = '{kind}' AND removal > {_latest(root, name)})" for kind, name in TABLE_OF_KIND.items()]
    rows = read_table(root, "removed_rows", ["kind", "removal"])
    if rows.num_rows > _counted(root).num_rows:
        table.delete(" OR ".join(unfinished))


def accepted_positions(rows: pa.Table) -> pa.Table:
    """Positions (`POSITIONS`) of rows of `interactions`."""
    return _positions(rows, "accepted")


def rejected_positions(rows: pa.Table) -> pa.Table:
    """Positions (`POSITIONS`) of rows of `rejected_events`, whose `reason` says of which kind they are."""
    is_duplicate = pc.equal(rows["reason"], "duplicate")
    kinds = {"duplicate": rows.filter(is_duplicate), "rejected": rows.filter(pc.invert(is_duplicate))}
    return pa.concat_tables([_positions(part, kind) for kind, part in kinds.items()])


def _positions(rows: pa.Table, kind: str) -> pa.Table:
    columns = {"kind": pa.repeat(kind, rows.num_rows), **{name: rows[name] for name in POSITIONS.names[1:]}}
    return pa.table(columns).cast(POSITIONS)


class _Without:
    """Drops the rows at certain positions."""

    def __init__(self, places: dict[Place, Offsets]) -> None:
        self._places = places

    def __call__(self, rows: pa.Table) -> pa.Table:
        offset, is_gone = rows["kafka_offset"].to_numpy(), np.zeros(rows.num_rows, np.bool_)
        for (topic_id, partition), offsets in self._places.items():
            here = pc.and_(pc.equal(rows["topic_id"], topic_id), pc.equal(rows["kafka_partition"], partition))
            is_gone |= here.to_numpy() & np.isin(offset, offsets)
        return rows.filter(pa.array(~is_gone))


def _may_hold(places: dict[Place, Offsets]) -> pc.Expression:
    condition = pc.scalar(False)
    for (topic_id, partition), offsets in places.items():
        offset = pc.field("kafka_offset")
        among = (offset >= int(offsets.min())) & (offset <= int(offsets.max()))
        if len(offsets) <= _LISTED_OFFSETS:
            among &= offset.isin(pa.array(offsets))
        condition |= (pc.field("topic_id") == topic_id) & (pc.field("kafka_partition") == partition) & among
    return condition


def _by_place(positions: pa.Table) -> dict[Place, Offsets]:
    places = positions.group_by(["topic_id", "kafka_partition"]).aggregate([("kafka_offset", "list")])
    columns = (places[name].to_pylist() for name in ("topic_id", "kafka_partition"))
    offsets = (scalar.values.to_numpy() for scalar in places["kafka_offset_list"])
    return dict(zip(zip(*columns, strict=True), offsets, strict=True))


def _runs(positions: pa.Table, cause: Cause, number: int) -> pa.Table:
    """Rows of `removed_rows`: neighbouring offsets of one kind and place are one row."""
    rows = positions.sort_by([(name, "ascending") for name in POSITIONS.names]).combine_chunks()
    starts = np.ones(rows.num_rows, np.bool_)
    starts[1:] = np.diff(rows["kafka_offset"].to_numpy()) != 1
    for name in ("kind", "topic_id", "kafka_partition"):
        codes = rows[name].combine_chunks().dictionary_encode().indices.to_numpy()
        starts[1:] |= codes[1:] != codes[:-1]
    first = np.flatnonzero(starts)
    last = np.append(first[1:], rows.num_rows) - 1
    offset = rows["kafka_offset"].to_numpy()
    runs = rows.take(pa.array(first))
    columns = {
        "removal": pa.repeat(pa.scalar(number), len(first)),
        "cause": pa.repeat(pa.scalar(cause), len(first)),
        **{name: runs[name] for name in ("kind", "topic_id", "kafka_partition")},
        "from_offset": pa.array(offset[first]),
        "to_offset": pa.array(offset[last] + 1),
    }
    return pa.table(columns, schema=SCHEMAS["removed_rows"])


def _counted(root: Path) -> pa.Table:
    """The rows of `removed_rows` whose removal was carried out."""
    rows = read_table(root, "removed_rows")
    done = {name: _latest(root, name) for name in _TABLES} if rows.num_rows else dict.fromkeys(_TABLES, 0)
    condition = pc.scalar(False)
    for kind, name in TABLE_OF_KIND.items():
        condition |= (pc.field("kind") == kind) & (pc.field("removal") <= done[name])
    return rows.filter(condition)


def _latest(root: Path, name: TableName) -> int:
    """Number of the latest removal that a table knows; 0 before the first."""
    return int(DeltaTable(table_path(root, name)).transaction_version(_APPLICATION) or 0)
