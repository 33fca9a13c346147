"""What users did with the lists they were served: from logged lists and events to one row per user and day.

All tables are pandas frames. Served lists: `ranking_id`, `user_id`, `arm`, `served_at` (microseconds since 1970) and
`items` (tuple of item ids). Feedback: `user_id`, `item_id`, `kind` (an event type), `at` (microseconds), `ranking_id`
(or None) and `rating` (or NaN).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
# An interaction that shows interest in the listed item; a `remove` or `view` does not.
POSITIVE_KINDS = ("click", "purchase", "rating")
SUMS = ["lists", "clicked_lists", "ratings", "rating_sum"]


@dataclass(frozen=True)
class Outcomes:
    """What users did, and what was left out.

    Attributes:
        daily: one row per user and day with a list: `user_id`, `arm`, `day` (0 = the first), `lists`, `clicked_lists`,
            `ratings`, `rating_sum`.
        crossed_users: users that were served by more than one arm; they are left out.
        unattributed: interactions that no list led to.
        duplicates: repeated interactions with one item of one list.
        before: what users did before the experiment: `user_id` and the sums with the suffix `_before`; None = unknown.
        segments: user id -> segment that the user was in when they were first served; None = no segments.
    """

    daily: pd.DataFrame
    crossed_users: int
    unattributed: int
    duplicates: int
    before: pd.DataFrame | None = None
    segments: pd.Series | None = None

    def cumulative(self) -> tuple[pd.DataFrame, ...]:
        """For each day, one row per user over the days up to it: `arm` and the sums; at least one frame."""
        last = int(self.daily["day"].max()) if len(self.daily) else 0
        frames = (self.daily[self.daily["day"] <= day] for day in range(last + 1))
        return tuple(
            self._with_before(frame.groupby(["user_id", "arm"], sort=True)[SUMS].sum().reset_index())
            for frame in frames
        )

    def _with_before(self, users: pd.DataFrame) -> pd.DataFrame:
        """Who was not served before the experiment has done nothing there."""
        if self.before is None:
            return users
        return users.merge(self.before, on="user_id", how="left").fillna({f"{name}_before": 0 for name in SUMS})


def attribute(served: pd.DataFrame, feedback: pd.DataFrame, window_hours: float) -> Outcomes:
    """Lead interactions back to the lists that caused them and count them per user and day of the list.

    An interaction belongs to the list that its `ranking_id` names, if that list was served to the same user; without a
    `ranking_id`, to the user's latest list within the window before it that held the item. Each item of a list counts
    once. Order does not matter, nor do repeated rows.
    """
    lists = served.drop_duplicates("ranking_id").reset_index(drop=True)
    arms = lists.groupby("user_id")["arm"].nunique()
    crossed = set(arms.index[arms > 1])
    lists = lists[~lists["user_id"].isin(crossed)].reset_index(drop=True)
    positive = feedback[feedback["kind"].isin(POSITIVE_KINDS) & ~feedback["user_id"].isin(crossed)]
    caused = pd.concat([_by_ranking_id(lists, positive), _by_window(lists, positive, window_hours)], ignore_index=True)
    once = caused.sort_values("at").drop_duplicates(["ranking_id", "item_id"])
    return Outcomes(
        daily=_daily(lists, once),
        crossed_users=len(crossed),
        unattributed=len(positive) - len(caused),
        duplicates=len(caused) - len(once),
    )


def _by_ranking_id(lists: pd.DataFrame, feedback: pd.DataFrame) -> pd.DataFrame:
    named = feedback[feedback["ranking_id"].notna()]
    joined = named.merge(lists[["ranking_id", "user_id", "items"]], on=["ranking_id", "user_id"])
    held = [item in items for item, items in zip(joined["item_id"], joined["items"], strict=True)]
    return joined[np.array(held, dtype=bool)].drop(columns="items")


def _by_window(lists: pd.DataFrame, feedback: pd.DataFrame, window_hours: float) -> pd.DataFrame:
    anonymous = feedback[feedback["ranking_id"].isna()].drop(columns="ranking_id")
    placed = (
        lists[["ranking_id", "user_id", "served_at", "items"]].explode("items").rename(columns={"items": "item_id"})
    )
    if anonymous.empty or placed.empty:
        return anonymous.assign(ranking_id=pd.Series(dtype=object)).iloc[:0]
    joined = pd.merge_asof(
        anonymous.astype({"at": np.int64}).sort_values("at", kind="stable"),
        placed.astype({"served_at": np.int64}).sort_values("served_at", kind="stable"),
        left_on="at",
        right_on="served_at",
        by=["user_id", "item_id"],
        tolerance=int(window_hours * HOUR_US),
    )
    return joined[joined["ranking_id"].notna()].drop(columns="served_at")


def _daily(lists: pd.DataFrame, caused: pd.DataFrame) -> pd.DataFrame:
    rated = caused[caused["rating"].notna()]
    per_list = pd.DataFrame(
        {
            "clicked_lists": caused.groupby("ranking_id").size().clip(upper=1),
            "ratings": rated.groupby("ranking_id").size(),
            "rating_sum": rated.groupby("ranking_id")["rating"].sum(),
        }
    )
    start = int(lists["served_at"].min()) if len(lists) else 0
    counted = lists[["ranking_id", "user_id", "arm", "served_at"]].join(per_list, on="ranking_id")
    counted = counted.fillna({"clicked_lists": 0, "ratings": 0, "rating_sum": 0.0})
    counted["day"] = (counted["served_at"].astype(np.int64) - start) // DAY_US
    counted["lists"] = 1
    return counted.groupby(["user_id", "arm", "day"], sort=True)[SUMS].sum().reset_index()
