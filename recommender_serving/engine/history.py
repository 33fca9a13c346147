"""What happened between users and items: the latest event of each kind, and what is observed because of it.

Both functions see events as a set: any order and any repetition of the same events gives the same result
(design: what a (user, item, type) means now is its event with the greatest (timestamp, event key)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.events import TYPE_CODES

RATING = TYPE_CODES["rating"]
REMOVE = TYPE_CODES["remove"]
_N_CODES = len(TYPE_CODES)


@dataclass(frozen=True, eq=False)
class RowsByUser:
    """Rows in the order of their users (CSR): `indptr` (n_users + 1,) int64 says where each user's rows start."""

    indptr: NDArray[np.int64]

    @property
    def n_users(self) -> int:
        """Number of users, those without rows included."""
        return len(self.indptr) - 1

    def rows_of(self, user: int) -> slice:
        """Rows of one user."""
        return slice(int(self.indptr[user]), int(self.indptr[user + 1]))

    def user_of_row(self) -> NDArray[np.int32]:
        """(n,) int32 user index of every row."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.indptr))


@dataclass(frozen=True, eq=False)
class History(RowsByUser):
    """The latest event of each (user, item, event type), CSR by user, sorted by (user, item, event type).

    Attributes:
        indptr: (n_users + 1,) int64, where each user's rows start.
        item: (n,) int32 item index.
        event_type: (n,) int8 code of `events.TYPE_CODES`; a `remove` row is kept as a tombstone.
        rating: (n,) float32, NaN unless the row is a rating.
        timestamp_us: (n,) int64 UTC microseconds.
        event_key: (n,) int64, breaks ties between equal time stamps.
    """

    item: NDArray[np.int32]
    event_type: NDArray[np.int8]
    rating: NDArray[np.float32]
    timestamp_us: NDArray[np.int64]
    event_key: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Observations(RowsByUser):
    """The (user, item) pairs that stand, CSR by user, sorted by item within a user.

    Attributes:
        indptr: (n_users + 1,) int64, where each user's rows start.
        item: (n,) int32 item index.
        rating: (n,) float32, NaN where the pair has no rating.
        strength: (n,) float32 greater than 0, the greatest weight among the pair's event types.
    """

    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    strength: NDArray[np.float32]

    def select(self, mask: NDArray[np.bool_]) -> "Observations":
        """Only the rows where `mask` (n,) is true; users keep their indices."""
        indptr = np.concatenate([[0], np.cumsum(mask)])[self.indptr]
        return Observations(indptr, self.item[mask], self.rating[mask], self.strength[mask])


def latest_events(  # noqa: PLR0917 (one argument per column)
    n_users: int,
    user: NDArray[np.integer],
    item: NDArray[np.integer],
    event_type: NDArray[np.integer],
    rating: NDArray[np.floating],
    timestamp_us: NDArray[np.int64],
    event_key: NDArray[np.int64],
) -> History:
    """Keep the event with the greatest (timestamp, event key) of each (user, item, event type).

    Args:
        n_users: number of users; `user` lies in 0..n_users-1.
        user: (n,) user index; all arrays are aligned, in any order.
        item: (n,) item index, not negative.
        event_type: (n,) code of `events.TYPE_CODES` without `forget`, which is applied before, by position.
        rating: (n,) rating, ignored unless the event is a rating. It decides between events that are equal in
            every other respect, so that the result never depends on the order.
        timestamp_us: (n,) UTC microseconds.
        event_key: (n,) `events.event_key` of the event.

    Raises:
        ValueError: a user, item or event type is out of range.
    """
    _require_range("user", user, n_users)
    _require_range("event_type", event_type, REMOVE + 1)
    n_items = int(item.max(initial=0)) + 1
    _require_range("item", item, n_items)
    rating = np.where(event_type == RATING, rating, np.nan).astype(np.float32)
    triple = (user.astype(np.int64) * n_items + item) * _N_CODES + event_type
    order = np.argsort(triple, kind="stable")
    ordered = triple[order]
    repeats = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeats):
        # Sorting by all keys is slow, and few triples have more than one event: sort only those.
        places = np.union1d(repeats, repeats + 1)
        rows = order[places]
        keys = (np.nan_to_num(rating[rows], nan=-np.inf), event_key[rows], timestamp_us[rows], triple[rows])
        order[places] = rows[np.lexsort(keys)]
        order = np.delete(order, repeats)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user[order], minlength=n_users))]).astype(np.int64)
    return History(
        indptr=indptr,
        item=item[order].astype(np.int32),
        event_type=event_type[order].astype(np.int8),
        rating=rating[order],
        timestamp_us=timestamp_us[order].astype(np.int64),
        event_key=event_key[order].astype(np.int64),
    )


def observe(history: History, weights: EventWeights, scale: RatingScale) -> Observations:
    """What stands of a history: a (user, item, type) at or before a `remove` of that (user, item) is dropped.

    Strength of a pair = the greatest weight among its types; a rating's weight grows linearly from
    `weights.lowest_rating` at `scale.min` to `weights.rating` at `scale.max`.
    """
    if not len(history.item):
        return Observations(history.indptr, history.item, history.rating, np.empty(0, np.float32))
    user, starts = history.user_of_row(), _pair_starts(history)
    stands = rows_that_stand(history)
    strength = np.where(stands, _strengths(history, weights, scale), 0.0)
    pair_strength = np.maximum.reduceat(strength, starts)
    pair_rating = np.where(stands[starts], history.rating[starts], np.float32(np.nan))
    alive = pair_strength > 0
    counts = np.bincount(user[starts[alive]], minlength=history.n_users)
    return Observations(
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        item=history.item[starts[alive]],
        rating=pair_rating[alive],
        strength=pair_strength[alive].astype(np.float32),
    )


def rows_that_stand(history: History) -> NDArray[np.bool_]:
    """(n,) true for rows that are no tombstone and later than their pair's tombstone, the last row of its pair."""
    stands: NDArray[np.bool_] = history.event_type != REMOVE
    if not len(stands):
        return stands
    starts = _pair_starts(history)
    lasts = np.append(starts[1:], len(history.item)) - 1
    removed = ~stands[lasts]
    if removed.any():
        tombstone = np.repeat(lasts, lasts - starts + 1)
        time, key = history.timestamp_us, history.event_key
        later = (time > time[tombstone]) | ((time == time[tombstone]) & (key > key[tombstone]))
        stands &= later | ~np.repeat(removed, lasts - starts + 1)
    return stands


def _pair_starts(history: History) -> NDArray[np.int64]:
    """First row of every (user, item) pair."""
    user, item = history.user_of_row(), history.item
    first = np.ones(len(item), dtype=bool)
    first[1:] = (item[1:] != item[:-1]) | (user[1:] != user[:-1])
    return np.flatnonzero(first)


def _strengths(history: History, weights: EventWeights, scale: RatingScale) -> NDArray[np.float64]:
    of_type = np.array([getattr(weights, name, 0.0) for name in TYPE_CODES])
    strength = of_type[history.event_type]
    rated = history.event_type == RATING
    share = (np.clip(history.rating[rated].astype(np.float64), scale.min, scale.max) - scale.min) / (
        scale.max - scale.min
    )
    strength[rated] = weights.lowest_rating + share * (weights.rating - weights.lowest_rating)
    return strength


def _require_range(name: str, values: NDArray[np.integer], end: int) -> None:
    if len(values) and (values.min() < 0 or values.max() >= end):
        raise ValueError(f"{name} must lie in 0..{end - 1}, got {values.min()}..{values.max()}")
