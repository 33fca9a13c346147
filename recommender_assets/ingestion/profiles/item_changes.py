"""What changed events do to item profiles: counts are added to and taken from the rows that were there."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender_assets.ingestion.profiles.changes import signed_difference
from recommender_assets.ingestion.profiles.counts_by_time import STEPS, counts_of, flattened
from recommender_assets.ingestion.profiles.standing_events import StandingEvents
from recommender_assets.ingestion.schemas import SCHEMAS

Int64s = NDArray[np.int64]

_TIME = pa.timestamp("us", tz="UTC")
_PAIRS = pa.schema([("item_id", pa.string()), ("sign", pa.int64())])
_EVENTS = pa.schema(
    [("item_id", pa.string()), ("sign", pa.int64()), ("timestamp_us", pa.int64()), ("rating", pa.float32())]
)
_EARLIEST, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class ItemChanges:
    """Events of items that stand now and did not before, or the other way round.

    Attributes:
        events: `item_id`, `timestamp_us`, `rating`, `sign` of each such event.
        pairs: `item_id`, `sign` of each user that an item gained or lost.
    """

    def __init__(self, events: pa.Table, pairs: pa.Table) -> None:
        self.events = events
        self.pairs = pairs

    @classmethod
    def between(cls, before: StandingEvents, after: StandingEvents) -> "ItemChanges":
        """Compare what stood and what stands of the same users."""
        pairs = (standing.rows.group_by(["user_id", "item_id"]).aggregate([]) for standing in (before, after))
        events = signed_difference(before.rows, after.rows)
        return cls(
            events.select(_EVENTS.names).cast(_EVENTS), signed_difference(*pairs).select(_PAIRS.names).cast(_PAIRS)
        )

    @classmethod
    def none(cls) -> "ItemChanges":
        """Nothing changed."""
        return cls(_EVENTS.empty_table(), _PAIRS.empty_table())

    @classmethod
    def together(cls, parts: list["ItemChanges"]) -> "ItemChanges":
        """The changes of several groups of users."""
        return cls(pa.concat_tables([part.events for part in parts]), pa.concat_tables([part.pairs for part in parts]))

    def item_ids(self) -> pa.Array:
        """Items with a change, each once."""
        return pc.unique(self.events["item_id"]).cast(pa.string())


def apply_changes(rows: pa.Table, changes: ItemChanges) -> tuple[pa.Table, pa.Array]:
    """Item profiles after the changes.

    Args:
        rows: profiles of the changed items as they were; an item without one had no events.
        changes: of these items.

    Returns:
        A row of `item_profiles` for every changed item, with 0 `interactions` where none stands any more, and the ids
        of items whose row is not to be used: their first or last event was taken back, so that only all of their events
        say what the first or last one is now.
    """
    ids = changes.item_ids()
    n = len(ids)
    former = rows.take(pc.index_in(ids, value_set=rows["item_id"].combine_chunks()))
    item, time, sign, rating = _columns(changes.events, ids)
    gained_or_lost = pc.index_in(changes.pairs["item_id"], value_set=ids).to_numpy()
    rated, taken = ~np.isnan(rating), sign < 0
    first, last = _times(former["first_interaction"], _LATEST), _times(former["last_interaction"], _EARLIEST)
    np.minimum.at(first, item[~taken], time[~taken])
    np.maximum.at(last, item[~taken], time[~taken])
    is_unusable = np.zeros(n, dtype=np.bool_)
    is_unusable[item[taken & ((time == first[item]) | (time == last[item]))]] = True
    interactions = _count(former["interactions"]) + _sums(item, sign, n)
    is_unusable &= interactions > 0
    updated = {
        "item_id": ids,
        "users": _count(former["users"]) + _sums(gained_or_lost, changes.pairs["sign"].to_numpy(), n),
        "interactions": interactions,
        "ratings": _count(former["ratings"]) + _sums(item[rated], sign[rated], n),
        "rating_sum": pc.fill_null(former["rating_sum"], 0).to_numpy()
        + np.bincount(item[rated], (sign * rating)[rated], minlength=n),
        "first_interaction": pa.array(first).cast(_TIME),
        "last_interaction": pa.array(last).cast(_TIME),
        **{column: _added(former[column], STEPS[column], (item, time, sign), last) for column in STEPS},
    }
    return pa.table(updated, schema=SCHEMAS["item_profiles"]), ids.filter(pa.array(is_unusable))


def _columns(events: pa.Table, ids: pa.Array) -> tuple[Int64s, Int64s, Int64s, NDArray[np.float64]]:
    """Index in `ids`, time, sign and rating (NaN without) of every event."""
    return (
        pc.index_in(events["item_id"], value_set=ids).to_numpy(),
        events["timestamp_us"].to_numpy(),
        events["sign"].to_numpy(),
        pc.fill_null(events["rating"], np.nan).to_numpy().astype(np.float64),
    )


def _added(former: pa.ChunkedArray, step_us: int, events: tuple[Int64s, Int64s, Int64s], last: Int64s) -> pa.MapArray:
    counted = flattened(former)
    group, time, count = (np.concatenate(pair) for pair in zip(counted, events, strict=True))
    return counts_of(step_us, group, time, last, count)


def _sums(group: NDArray[np.integer], values: NDArray[np.integer], n: int) -> Int64s:
    return np.bincount(group, values, minlength=n).astype(np.int64)


def _count(column: pa.ChunkedArray) -> Int64s:
    return np.asarray(pc.fill_null(column, 0).to_numpy(), dtype=np.int64)


def _times(column: pa.ChunkedArray, absent: int) -> Int64s:
    return np.array(pc.fill_null(column.cast(pa.int64()), absent).to_numpy(), dtype=np.int64)
