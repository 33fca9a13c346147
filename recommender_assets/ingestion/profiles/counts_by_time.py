"""Events counted by minute and by hour: additive, so that windows can be evaluated later, as of any recent time."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender_serving.engine.activity import DAY_US, HOUR_US, MINUTE_US, WINDOWS, Window

STEPS = {"per_minute": MINUTE_US, "per_hour": HOUR_US}
"""Column of the profile tables -> length of its steps."""
SLACK_US = DAY_US
"""How far before the newest event an `as_of` may lie: events may be a day ahead of the time they arrive."""

_LONGEST_US = {step: max(window.length_us for window in WINDOWS if window.step_us == step) for step in STEPS.values()}
_TIME = pa.timestamp("us", tz="UTC")
_ENTRIES = pa.list_(pa.struct([("key", _TIME), ("value", pa.int64())]))


def counts_of(
    step_us: int,
    group: NDArray[np.integer],
    timestamp_us: NDArray[np.int64],
    last_us: NDArray[np.int64],
    count: NDArray[np.int64] | None = None,
) -> pa.MapArray:
    """One map for each group: start of a step -> events in it, without steps that no window can need any more.

    Args:
        step_us: length of a step.
        group: (m,) index of the group that each event (or each earlier count) belongs to.
        timestamp_us: (m,) UTC microseconds.
        last_us: (n,) time of each group's newest event.
        count: (m,) what each row counts for, may be negative; else 1.
    """
    start = timestamp_us // step_us * step_us
    needed = start > last_us[group] - _LONGEST_US[step_us] - SLACK_US - step_us
    group, start = group[needed], start[needed]
    count = np.ones(len(group), dtype=np.int64) if count is None else count[needed]
    order = np.lexsort((start, group))
    group, start = group[order], start[order]
    is_first = np.ones(len(group), dtype=np.bool_)
    is_first[1:] = (group[1:] != group[:-1]) | (start[1:] != start[:-1])
    firsts = np.flatnonzero(is_first)
    sums = np.add.reduceat(count[order], firsts) if len(firsts) else np.empty(0, dtype=np.int64)
    kept = firsts[sums != 0]
    offsets = np.searchsorted(group[kept], np.arange(len(last_us) + 1)).astype(np.int32)
    keys = pa.array(start[kept]).cast(_TIME)
    return pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(sums[sums != 0]))


def flattened(maps: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, start of the step in UTC microseconds, and count of every entry of a column of maps."""
    lists = maps.combine_chunks().cast(_ENTRIES)
    entries = pc.list_flatten(lists)
    return (
        pc.list_parent_indices(lists).to_numpy(),
        entries.field("key").cast(pa.int64()).to_numpy(),
        entries.field("value").to_numpy(),
    )


def window_counts(profiles: pa.Table, window: Window, as_of_us: int) -> NDArray[np.int64]:
    """(n_rows,) events of each profile inside a window that ends at `as_of_us`."""
    column = next(name for name, step in STEPS.items() if step == window.step_us)
    row, start, count = flattened(profiles[column])
    inside = window.covers(start, as_of_us)
    return np.bincount(row[inside], count[inside], minlength=profiles.num_rows).astype(np.int64)
