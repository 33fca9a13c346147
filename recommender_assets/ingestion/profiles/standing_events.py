"""The events that stand, as of a coverage: what every figure of a profile is counted from."""

import operator
from collections.abc import Iterable
from functools import cached_property, reduce
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.forgetting import without_forgotten
from recommender_assets.ingestion.profiles.coverage import Coverage
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import read_table
from recommender_serving.engine.events import EVENT_TYPES
from recommender_serving.engine.history import History, latest_events, rows_that_stand

EVENT = ["user_id", "item_id", "event_type", "rating", "timestamp", "event_key"]
_RECORD = ["topic_id", "kafka_partition", "kafka_offset", "ingested_at"]


class EventsAsOf:
    """The events below the ledger's position at some versions of the tables.

    Args:
        root: the storage root.
        coverage: which versions, and which rows count.
    """

    def __init__(self, root: Path, coverage: Coverage) -> None:
        self.root = root
        self.coverage = coverage

    @cached_property
    def is_committed(self) -> pc.Expression:
        """Which rows of `interactions` count, as an Arrow expression."""
        return _any(
            _is_of(topic_id, partition) & (pc.field("kafka_offset") < end)
            for (topic_id, partition), end in self.ends.items()
        )

    @cached_property
    def ends(self) -> dict[tuple[str, int], int]:
        """(topic id, partition) -> first offset that does not count."""
        until = pa.scalar(self.coverage.ledger_us, pa.timestamp("us", tz="UTC"))
        columns = ["topic_id", "kafka_partition", "to_offset"]
        rows = read_table(self.root, "ingestion_ledger", columns, pc.field("committed_at") <= until)
        ends = rows.group_by(columns[:2]).aggregate([("to_offset", "max")]).to_pylist()
        return {(end["topic_id"], end["kafka_partition"]): end["to_offset_max"] for end in ends}

    def is_newer(self, former: "EventsAsOf") -> pc.Expression:
        """Which rows of `interactions` a later coverage counts and `former` does not, by their offsets."""
        return _any(
            _is_of(*place) & (pc.field("kafka_offset") >= former.ends.get(place, 0))
            for place, end in self.ends.items()
            if end > former.ends.get(place, 0)
        )

    def of(self, column: Literal["user_id", "item_id"], ids: pa.Array) -> pa.Table:
        """Events (columns `EVENT`) of some users or items that no user asked to forget."""
        condition = pc.field(column).isin(ids)
        if column == "item_id":  # a `forget` names no item
            condition |= pc.field("event_type") == "forget"
        history = self._read("interaction_history", EVENT, condition)
        interactions = self._read("interactions", EVENT + _RECORD, condition & self.is_committed)
        history, interactions = without_forgotten(history, interactions)
        return pa.concat_tables([history, interactions.select(EVENT)])

    def column(self, name: Literal["user_id", "item_id"], condition: pc.Expression | None = None) -> pa.Array:
        """Distinct ids of users, or items, with events."""
        committed = self.is_committed if condition is None else self.is_committed & condition
        history = self._read("interaction_history", [name], condition)
        return distinct(pa.concat_tables([history, self._read("interactions", [name], committed)])[name])

    def _read(
        self, name: Literal["interactions", "interaction_history"], columns: list[str], condition: pc.Expression | None
    ) -> pa.Table:
        return read_table(self.root, name, columns, condition, version=getattr(self.coverage, name))


def _is_of(topic_id: str, partition: int) -> pc.Expression:
    return (pc.field("topic_id") == topic_id) & (pc.field("kafka_partition") == partition)


def _any(conditions: Iterable[pc.Expression]) -> pc.Expression:
    return reduce(operator.or_, conditions, pc.scalar(False))


class StandingEvents:
    """The latest event of each (user, item, type) that no removal took back.

    Attributes:
        user_ids, item_ids: the vocabularies.
        history: latest events of all of them, tombstones included, aligned with the vocabularies.
        rows: `user_id`, `item_id`, `event_type`, `timestamp`, `rating` (null unless a rating) of what stands.
    """

    def __init__(self, events: pa.Table) -> None:
        users, items = (events[name].combine_chunks().dictionary_encode() for name in ("user_id", "item_id"))
        self.user_ids, self.item_ids = users.dictionary, items.dictionary
        self.history: History = latest_events(
            n_users=len(self.user_ids),
            user=users.indices.to_numpy(),
            item=items.indices.to_numpy(),
            event_type=pc.index_in(events["event_type"], value_set=pa.array(EVENT_TYPES)).to_numpy(),
            rating=pc.fill_null(events["rating"], np.nan).to_numpy(),
            timestamp_us=events["timestamp"].cast(pa.int64()).to_numpy(),
            event_key=events["event_key"].to_numpy(),
        )
        stands = rows_that_stand(self.history)
        self.user = self.history.user_of_row()[stands]
        self.item = self.history.item[stands]
        self.timestamp_us = self.history.timestamp_us[stands]
        self.rating = self.history.rating[stands]
        self._event_type = self.history.event_type[stands]

    @classmethod
    def none(cls) -> Self:
        """Without any event."""
        return cls(pa.schema([SCHEMAS["interactions"].field(name) for name in EVENT]).empty_table())

    @cached_property
    def rows(self) -> pa.Table:
        """What stands, with ids."""
        return pa.table(
            {
                "user_id": self.user_ids.take(pa.array(self.user)),
                "item_id": self.item_ids.take(pa.array(self.item)),
                "event_type": pa.array(self._event_type),
                "timestamp_us": pa.array(self.timestamp_us),
                "rating": pa.array(self.rating, from_pandas=True),
            }
        )


def distinct(ids: pa.ChunkedArray) -> pa.Array:
    """Each id once, nulls left out."""
    return pc.drop_null(pc.unique(ids))
