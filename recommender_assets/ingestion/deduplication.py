"""Which events were read before: equal event id and timestamp mean the same event.

An event id is compared by its 63-bit BLAKE2b (`event_key`), as everywhere that events are ordered: two different ids
with the same microsecond have one chance in 9e18 to be taken for one.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from deltalake import DeltaTable

from recommender_assets.ingestion.event_files import IDENTITY, identities, read_columns
from recommender_assets.ingestion.tables import table_path

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads time stamps over all bits
_FILTER_BITS = np.uint64(24)
_STATISTICS_PRECISION = dt.timedelta(milliseconds=1)  # writers may cut a file's largest time stamp to milliseconds
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Integers = npt.NDArray[np.int64]


def duplicates(files: Sequence[npt.NDArray[np.void]], root: Path) -> list[npt.NDArray[np.bool_]]:
    """Which rows of each file repeat an event of table `interactions`, or one at a lower position of these files.

    Args:
        files: `IDENTITY` of the rows of each file.
        root: the storage root.
    """
    if not files:
        return []
    events = np.concatenate(files)
    found = repeated(events) | read_before(events, root)
    return np.split(found, np.cumsum([len(file) for file in files])[:-1])


def repeated(events: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Rows whose event occurs at a lower (`kafka_partition`, `kafka_offset`) of the same array."""
    mixed = _mixed(events["event_key"], events["timestamp"])
    ordered = np.sort(mixed)
    suspects = np.flatnonzero(np.isin(mixed, ordered[1:][ordered[1:] == ordered[:-1]]))
    rows = events[suspects]
    order = np.lexsort((rows["kafka_offset"], rows["kafka_partition"], rows["event_key"], rows["timestamp"]))
    rows = rows[order]
    is_same = (rows["event_key"][1:] == rows["event_key"][:-1]) & (rows["timestamp"][1:] == rows["timestamp"][:-1])
    result = np.zeros(len(events), np.bool_)
    result[suspects[order[1:][is_same]]] = True
    return result


def read_before(events: npt.NDArray[np.void], root: Path, without: Sequence[str] = ()) -> npt.NDArray[np.bool_]:
    """Rows whose event table `interactions` holds.

    Only files are read whose range of time stamps holds one of the events', so live events cost the same however long
    the table is.

    Args:
        events: `IDENTITY` of the events.
        root: the storage root.
        without: files that are left out.
    """
    result = np.zeros(len(events), np.bool_)
    keys, times = np.ascontiguousarray(events["event_key"]), np.ascontiguousarray(events["timestamp"])
    paths = [path for path in files_that_may_hold(root, np.unique(times)) if path not in without]
    if not paths:
        return result
    mixed = _mixed(keys, times)
    order = np.argsort(mixed)
    ordered = mixed[order]
    may_be_known = np.zeros(1 << int(_FILTER_BITS), np.bool_)
    may_be_known[_slot(mixed)] = True
    for earlier_keys, earlier_times in _earlier_events(root, paths):
        earlier = _mixed(earlier_keys, earlier_times)
        suspects = np.flatnonzero(may_be_known[_slot(earlier)])
        low = np.searchsorted(ordered, earlier[suspects])
        count = np.searchsorted(ordered, earlier[suspects], "right") - low
        matched = np.repeat(suspects, count)
        first_of_each = np.repeat(np.cumsum(count) - count, count)
        rows = order[np.repeat(low, count) + np.arange(len(matched)) - first_of_each]
        is_same = (keys[rows] == earlier_keys[matched]) & (times[rows] == earlier_times[matched])
        result[rows[is_same]] = True
    return result


def recent_duplicates(root: Path, rows: int) -> list[str]:
    """Events among the latest rows of `interactions` that have another row, anywhere in the table.

    Older rows were among the latest once. So a check after each run costs the same on a long table, except for files
    whose time stamps overlap.

    Args:
        root: the storage root.
        rows: at least so many of the latest rows are looked at, whole files of them.
    """
    files = pa.table(DeltaTable(table_path(root, "interactions")).get_add_actions(flatten=True)).to_pylist()
    latest: list[str] = []
    events: list[npt.NDArray[np.void]] = []
    for file in sorted(files, key=_ingested_at, reverse=True):
        if sum(map(len, events)) >= rows:
            break
        latest.append(file["path"])
        events.append(_identities(root, file["path"]))
    if not events:
        return []
    together = np.concatenate(events)
    found = together[repeated(together) | read_before(together, root, without=latest)]
    return [
        f"event key {row['event_key']} at {row['timestamp']} us (partition {row['kafka_partition']}, offset "
        f"{row['kafka_offset']}) has another row"
        for row in found
    ]


def _ingested_at(file: dict[str, Any]) -> dt.datetime:
    moment: dt.datetime | None = file.get("max.ingested_at")
    return moment or dt.datetime.max.replace(tzinfo=dt.UTC)


def _identities(root: Path, path: str) -> npt.NDArray[np.void]:
    batches = read_columns(root, "interactions", path, list(IDENTITY.names or ()))
    return np.concatenate([identities(batch) for batch in batches])


def files_that_may_hold(root: Path, times: Integers) -> list[str]:
    """Files of `interactions` that may hold an event with one of the time stamps, by the files' statistics.

    Args:
        root: the storage root.
        times: epoch microseconds, ascending.
    """
    files = pa.table(DeltaTable(table_path(root, "interactions")).get_add_actions(flatten=True))
    if files.num_rows == 0 or len(times) == 0:
        return []
    paths: list[str] = files["path"].to_pylist()
    if not {"min.timestamp", "max.timestamp"} <= set(files.column_names):
        return paths
    ranges = zip(paths, files["min.timestamp"].to_pylist(), files["max.timestamp"].to_pylist(), strict=True)
    return [path for path, low, high in ranges if low is None or high is None or _any_between(times, low, high)]


def _any_between(times: Integers, low: dt.datetime, high: dt.datetime) -> bool:
    first, last = _microseconds(low), _microseconds(high + _STATISTICS_PRECISION)
    return bool(np.searchsorted(times, first) < np.searchsorted(times, last, "right"))


def _microseconds(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _earlier_events(root: Path, paths: Sequence[str]) -> Iterator[tuple[Integers, Integers]]:
    for path in paths:
        for batch in read_columns(root, "interactions", path, ["event_key", "timestamp"]):
            times = batch.column("timestamp").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            yield batch.column("event_key").to_numpy(), times.to_numpy()


def _mixed(keys: Integers, times: Integers) -> npt.NDArray[np.uint64]:
    """64 bits of both: equal events have equal values, and few others."""
    return (keys.astype(np.uint64) << np.uint64(1)) ^ (times.astype(np.uint64) * _FACTOR)


def _slot(mixed: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return mixed >> (np.uint64(64) - _FILTER_BITS)
