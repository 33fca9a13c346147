"""What a profile says about a user or an item as of a time: one definition for the tables and the live service.

Counted is what stands: the latest event of each (user, item, event type) that no later `remove` took back, so that
any order and any repetition of the same events gives the same profile (see `history`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.history import History, Observations, observe, rows_that_stand

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


@dataclass(frozen=True)
class Window:
    """A sliding window over event time that moves in steps, so that counts per step are enough to evaluate it.

    Attributes:
        name: as it appears in tables and answers.
        length_us: microseconds, a multiple of the step.
        step_us: microseconds.
    """

    name: str
    length_us: int
    step_us: int

    def covers(self, timestamp_us: NDArray[np.int64], as_of_us: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether times (or the starts of the steps they lie in) are in the window that ends with `as_of_us`'s step."""
        steps_ago = as_of_us // self.step_us - timestamp_us // self.step_us
        return np.asarray((steps_ago >= 0) & (steps_ago < self.length_us // self.step_us))


WINDOWS = (
    Window("1_hour", HOUR_US, MINUTE_US),
    Window("24_hours", DAY_US, HOUR_US),
    Window("7_days", 7 * DAY_US, HOUR_US),
    Window("30_days", 30 * DAY_US, HOUR_US),
)


@dataclass(frozen=True, eq=False)
class Totals:
    """Counts of n users or n items, whatever the time.

    Attributes:
        interactions: (n,) int64 events that stand.
        ratings: (n,) int64 ratings among them.
        rating_sum: (n,) float64 sum of those ratings.
        first_us: (n,) int64 UTC microseconds of the earliest event that stands; meaningless without any.
        last_us: (n,) int64 of the latest one.
    """

    interactions: NDArray[np.int64]
    ratings: NDArray[np.int64]
    rating_sum: NDArray[np.float64]
    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]

    @property
    def mean_rating(self) -> NDArray[np.float64]:
        """(n,) mean of the ratings that stand, NaN without any."""
        unknown = np.full(len(self.ratings), np.nan)
        mean: NDArray[np.float64] = np.divide(self.rating_sum, self.ratings, out=unknown, where=self.ratings > 0)
        return mean


@dataclass(frozen=True)
class UserProfile:
    """What one user did, as of a time.

    Attributes:
        interactions: events that stand.
        ratings: ratings among them.
        mean_rating: their mean, None without any.
        first_interaction_us: UTC microseconds of the earliest event that stands, None without any.
        last_interaction_us: of the latest one: recency.
        windows: name of each of `WINDOWS` -> events that stand inside it.
        category_affinity: category -> share, see `category_affinity`; shares sum to 1 unless there is none.
    """

    interactions: int
    ratings: int
    mean_rating: float | None
    first_interaction_us: int | None
    last_interaction_us: int | None
    windows: dict[str, int]
    category_affinity: dict[str, float]


def totals(group: NDArray[np.integer], n: int, timestamp_us: NDArray[np.int64], rating: NDArray[np.floating]) -> Totals:
    """Counts for each group of events that stand.

    Args:
        group: (m,) which user, or which item, each event belongs to, in 0..n-1.
        n: number of groups.
        timestamp_us: (m,) UTC microseconds.
        rating: (m,) NaN unless the event is a rating.
    """
    rated = ~np.isnan(rating)
    first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, np.iinfo(np.int64).min)
    np.minimum.at(first, group, timestamp_us)
    np.maximum.at(last, group, timestamp_us)
    return Totals(
        interactions=np.bincount(group, minlength=n),
        ratings=np.bincount(group[rated], minlength=n),
        rating_sum=np.bincount(group[rated], weights=rating[rated].astype(np.float64), minlength=n).astype(np.float64),
        first_us=first,
        last_us=last,
    )


def category_affinity(
    observations: Observations, item_indptr: NDArray[np.int64], category: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Share of each category in what users like.

    An observed item's strength (a rating's grows with its stars, see `history.observe`) is split evenly among its
    categories; a user's sums are divided by their total.

    Args:
        observations: of n_users users.
        item_indptr: (n_items + 1,) where each item's categories start in `category`.
        category: (m,) index of a category.

    Returns:
        User, category and share, sorted by user and category; the shares of a user sum to 1.
    """
    counts = np.diff(item_indptr)[observations.item]
    row = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = category[item_indptr[observations.item[row]] + within]
    weight = observations.strength[row].astype(np.float64) / counts[row]
    user = observations.user_of_row()[row].astype(np.int64)
    total = np.bincount(user, weight, minlength=observations.n_users)
    n_categories = int(category.max(initial=0)) + 1
    cells, of_entry = np.unique(user * n_categories + entry, return_inverse=True)
    of_user = cells // n_categories
    share = np.bincount(of_entry, weight, minlength=len(cells)) / total[of_user]
    return of_user, cells % n_categories, share


def user_profile(
    history: History,
    categories_of: Callable[[int], Sequence[str]],
    weights: EventWeights,
    scale: RatingScale,
    as_of_us: int,
) -> UserProfile:
    """The profile of one user.

    Args:
        history: latest events of a single user.
        categories_of: item index -> names of its categories, none for an item that the catalogue lacks.
        weights: strength of each kind of event.
        scale: lowest and highest rating.
        as_of_us: end of the windows, UTC microseconds; later events count in the totals only.
    """
    stands = rows_that_stand(history)
    timestamp_us = history.timestamp_us[stands]
    counted = totals(np.zeros(len(timestamp_us), dtype=np.int64), 1, timestamp_us, history.rating[stands])
    has_any, has_ratings = bool(counted.interactions[0]), bool(counted.ratings[0])
    return UserProfile(
        interactions=int(counted.interactions[0]),
        ratings=int(counted.ratings[0]),
        mean_rating=float(counted.mean_rating[0]) if has_ratings else None,
        first_interaction_us=int(counted.first_us[0]) if has_any else None,
        last_interaction_us=int(counted.last_us[0]) if has_any else None,
        windows={window.name: int(window.covers(timestamp_us, as_of_us).sum()) for window in WINDOWS},
        category_affinity=_affinity_by_name(observe(history, weights, scale), categories_of),
    )


def popularity_trend(last_7_days: NDArray[np.integer], last_30_days: NDArray[np.integer]) -> NDArray[np.float64]:
    """How much more an item is used this week than the month lets expect: (n7 + 1) / (n30 * 7/30 + 1).

    1 = steady, above 1 = rising; the added interaction keeps items with few of them near 1.
    """
    return (last_7_days + 1) / (last_30_days * (7 / 30) + 1)


def _affinity_by_name(observations: Observations, categories_of: Callable[[int], Sequence[str]]) -> dict[str, float]:
    names = [list(dict.fromkeys(categories_of(item))) for item in observations.item.tolist()]
    known = sorted({name for of_item in names for name in of_item})
    code = {name: position for position, name in enumerate(known)}
    renumbered = Observations(
        observations.indptr, np.arange(len(names), dtype=np.int32), observations.rating, observations.strength
    )
    indptr = np.concatenate([[0], np.cumsum([len(of_item) for of_item in names])]).astype(np.int64)
    category = np.array([code[name] for of_item in names for name in of_item], dtype=np.int64)
    _, of_cell, shares = category_affinity(renumbered, indptr, category)
    return {known[position]: share for position, share in zip(of_cell.tolist(), shares.tolist(), strict=True)}
