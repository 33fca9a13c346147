"""Events after a model's position, per user, and what a user has observed when they are added to the model's past.

The merge gives what a rebuild from all events would give: the same latest events, the same removals, a `forget`
by position, and the first offset of events with equal id and time stamp.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.change_journal import ChangeJournal
from recommender_serving.engine.events import TYPE_CODES, Event
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.history import History, latest_events, observe
from recommender_serving.engine.interaction_log import InteractionLog


class LiveEvent(NamedTuple):
    """An event and the Kafka record that held it."""

    event: Event
    partition: int
    offset: int


_MOST_OF_ONE_USER = 5_000  # events; a list is solved from all of them

NOTHING_BEFORE: Mapping[int, int] = {}


def _place(live: LiveEvent) -> tuple[int, int]:
    return live.partition, live.offset


class LiveEvents:
    """Events at or after a start position; applying a record again changes nothing.

    Several models may share a store: each asks for the events after its own position. The store is bounded: beyond
    `most` events it lets go of the users who have been silent for longest, and of a user's oldest ones beyond 5,000.
    What is let go of counts again with the next model; a `forget` never is.

    Args:
        start: partition -> first offset that is kept; a partition that is not named is kept whole.
        most: how many events to hold; about 600 bytes each.

    Attributes:
        n_events: how many events are held.
        n_dropped: how many were let go of for lack of room.
        interactions: which items were interacted with lately; what a `remove` or `forget` takes back stays in there.
    """

    def __init__(self, start: Mapping[int, int], most: int = 500_000) -> None:
        self.start = dict(start)
        self._most = most
        self._by_user: dict[str, list[LiveEvent]] = {}
        self._versions: dict[str, int] = {}
        self._journal = ChangeJournal()
        self._dropped_up_to: dict[int, int] = {}  # partition -> greatest offset
        self.n_events = 0
        self.n_dropped = 0
        self.interactions = InteractionLog()

    def apply(self, event: Event, partition: int, offset: int) -> None:
        """Add the event of one record; records may come in any order."""
        if offset < self.start.get(partition, 0):
            return
        of_user = self._by_user.setdefault(event.user_id, [])
        place = (partition, offset)
        position = bisect_left(of_user, place, key=_place)
        if position < len(of_user) and _place(of_user[position]) == place:
            return
        of_user.insert(position, LiveEvent(event, partition, offset))
        self.n_events += 1
        self._versions[event.user_id] = self._journal.add(event.user_id)
        if event.item_id is not None and event.event_type != "remove":
            self.interactions.add(event.item_id, partition, offset, event.timestamp_us)
        if len(of_user) > _MOST_OF_ONE_USER:
            self._drop_oldest(of_user)
        while self.n_events > self._most or len(self._journal) > 2 * self._most:
            if (silent := self._journal.next_silent(self._versions)) is None:
                break
            self._let_go_of(silent)

    def changed_since(self, change: int) -> tuple[int, list[str]]:
        """Users who changed after that change, 0 = ever, and the number of the last change, to ask again from."""
        users = self._journal.since(change)
        return self._journal.last, list(self._by_user) if users is None else users

    def has_dropped(self, start: Mapping[int, int]) -> bool:
        """Whether some event at or after `start`, partition -> first offset, was let go of for lack of room."""
        return any(offset >= start.get(partition, 0) for partition, offset in self._dropped_up_to.items())

    def version(self, user_id: str) -> int:
        """A number that grows whenever the user gets an event; 0 without any."""
        return self._versions.get(user_id, 0)

    def of_user(self, user_id: str, start: Mapping[int, int] = NOTHING_BEFORE) -> Sequence[LiveEvent]:
        """The user's events, ordered by (partition, offset), from `start` on: partition -> first offset."""
        of_user = self._by_user.get(user_id, ())
        return [live for live in of_user if live.offset >= start.get(live.partition, 0)] if start else of_user

    def discard_before(self, start: Mapping[int, int]) -> Iterator[None]:
        """Let go of what lies before `start`, one user per step, so that it can be done beside an event loop."""
        self.start = dict(start)
        self.interactions.discard_before(start)
        for user_id in list(self._by_user):
            later = self.of_user(user_id, start)
            self.n_events -= len(self._by_user[user_id]) - len(later)
            if later:
                self._by_user[user_id] = list(later)
            else:
                del self._by_user[user_id], self._versions[user_id]
            yield

    def _drop_oldest(self, of_user: list[LiveEvent]) -> None:
        """Let go of a user's first event that is no `forget`; of many, only the last `forget` matters."""
        oldest = next((place for place, live in enumerate(of_user) if live.event.event_type != "forget"), 0)
        self._note_dropped([of_user.pop(oldest)])

    def _let_go_of(self, user_id: str) -> None:
        """Keep only what a user wants forgotten, and tell readers that the user changed."""
        of_user = self._by_user[user_id]
        kept = [live for live in of_user if live.event.event_type == "forget"]
        if len(kept) == len(of_user):
            return
        self._note_dropped([live for live in of_user if live.event.event_type != "forget"])
        change = self._journal.add(user_id)
        if kept:
            self._by_user[user_id], self._versions[user_id] = kept, change
        else:
            del self._by_user[user_id], self._versions[user_id]

    def _note_dropped(self, dropped: Sequence[LiveEvent]) -> None:
        self.n_events -= len(dropped)
        self.n_dropped += len(dropped)
        for _, partition, offset in dropped:
            self._dropped_up_to[partition] = max(offset, self._dropped_up_to.get(partition, 0))


@dataclass(frozen=True, eq=False)
class UserObservations:
    """What one user has observed, sorted by item.

    Attributes:
        items: (m,) int32 indices of items the model knows.
        ratings: (m,) float32, NaN where there is no rating.
        strengths: (m,) float32 greater than 0.
        unknown_items: ids of observed items that the model does not know.
        unknown_ratings: (u,) float32 as `ratings`, of the unknown items.
        unknown_strengths: (u,) float32 as `strengths`, of the unknown items.
    """

    items: NDArray[np.int32]
    ratings: NDArray[np.float32]
    strengths: NDArray[np.float32]
    unknown_items: list[str]
    unknown_ratings: NDArray[np.float32]
    unknown_strengths: NDArray[np.float32]


def user_observations(model: FactorModel, live: Sequence[LiveEvent], user_id: str) -> UserObservations:
    """Merge the model's past of a user with the user's live events.

    The model does not know events that were forgotten before its position, `forget` events themselves, nor events that
    a later one replaced: sent again after its position (the last kind: and after a `forget`), they count until the
    next model.

    Args:
        model: gives the past, the item index, and the weights and scale of its training.
        live: `LiveEvents.of_user(user_id)`, only records that are not inside the model.
        user_id: any id; one that the model does not know has no past.
    """
    merged, unknown = user_events(model, live, user_id)
    observed = observe(merged, model.manifest.weights, model.manifest.scale)
    n_known = int(np.searchsorted(observed.item, model.n_items))
    return UserObservations(
        items=observed.item[:n_known],
        ratings=observed.rating[:n_known],
        strengths=observed.strength[:n_known],
        unknown_items=[unknown[item - model.n_items] for item in observed.item[n_known:].tolist()],
        unknown_ratings=observed.rating[n_known:],
        unknown_strengths=observed.strength[n_known:],
    )


def user_events(model: FactorModel, live: Sequence[LiveEvent], user_id: str) -> tuple[History, list[str]]:
    """The latest events of one user, past and live, as the history of a single user, and the items the model lacks.

    An item at position p of the second value has the index `model.n_items` + p in the first. See `user_observations`.
    """
    past = _past_of(model, user_id)
    counted = _without_duplicates(live, past)
    forgets = {event.partition: event.offset for event in counted if event.event.event_type == "forget"}
    if forgets:
        past = _rows(model.history, slice(0, 0))
        counted = [
            entry
            for entry in counted
            if entry.event.event_type != "forget" and entry.offset > forgets.get(entry.partition, -1)
        ]
    unknown: dict[str, int] = {}
    merged = _with_events(past, [entry.event for entry in counted], model, unknown) if counted else past
    return merged, list(unknown)


def _past_of(model: FactorModel, user_id: str) -> History:
    user = model.user_ids.index(user_id)
    return _rows(model.history, slice(0, 0) if user < 0 else model.history.rows_of(user))


def _rows(history: History, rows: slice) -> History:
    """The rows of one user as a history of a single user."""
    return History(
        indptr=np.array([0, rows.stop - rows.start], dtype=np.int64),
        item=history.item[rows],
        event_type=history.event_type[rows],
        rating=history.rating[rows],
        timestamp_us=history.timestamp_us[rows],
        event_key=history.event_key[rows],
    )


def _without_duplicates(live: Sequence[LiveEvent], past: History) -> list[LiveEvent]:
    """Of events with equal id and time stamp the first counts, and the past comes before all live events."""
    counted: list[LiveEvent] = []
    seen: set[tuple[int, str]] = set()
    for entry in live:
        event = entry.event
        identity = (event.timestamp_us, event.event_id)
        if identity in seen:
            continue
        seen.add(identity)
        at_same_time = past.event_key[past.timestamp_us == event.timestamp_us]
        if len(at_same_time) and event.event_key in at_same_time:
            continue
        counted.append(entry)
    return counted


def _with_events(past: History, events: Sequence[Event], model: FactorModel, unknown: dict[str, int]) -> History:
    """The past with events added; `unknown` is filled with item ids the model lacks, numbered after its items."""
    items = []
    for event in events:
        item_id = event.item_id or ""
        item = model.item_ids.index(item_id)
        items.append(item if item >= 0 else unknown.setdefault(item_id, model.n_items + len(unknown)))
    ratings = [np.nan if event.rating is None else event.rating for event in events]
    item_column = np.append(past.item, np.array(items, dtype=np.int32))
    return latest_events(
        1,
        np.zeros(len(item_column), dtype=np.int32),
        item_column,
        np.append(past.event_type, np.array([TYPE_CODES[event.event_type] for event in events], dtype=np.int8)),
        np.append(past.rating, np.array(ratings, dtype=np.float32)),
        np.append(past.timestamp_us, np.array([event.timestamp_us for event in events], dtype=np.int64)),
        np.append(past.event_key, np.array([event.event_key for event in events], dtype=np.int64)),
    )
