"""Whether users click the champion's lists as they clicked those of the champion before, by the recommendation log.

It is no experiment: hours and weekdays change along with the model. So only a large fall is a fault, and only one that
is beyond chance however often one looks.
"""

import datetime as dt
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from deltalake.exceptions import TableNotFoundError

from recommender_assets.experiments.arm_moments import ArmMoments
from recommender_assets.experiments.attribution import DAY_US, HOUR_US, attribute
from recommender_assets.experiments.log_frames import lists_of_versions, reactions_of
from recommender_assets.experiments.metrics import metric_moments
from recommender_assets.experiments.sequential import boundary_for
from recommender_assets.settings import LiveGuardrailSettings
from recommender_serving.engine.champion_pointer import ChampionPointer

_LEVEL = 0.01  # chance that a champion which is as good as the one before is ever called worse
_DAYS_BEFORE = 14


@dataclass(frozen=True)
class ClickThrough:
    """Clicked lists by served lists, over users, of the champion and of the champion before."""

    champion: ArmMoments
    before: ArmMoments


def click_through(
    root: Path, pointer: ChampionPointer, rules: LiveGuardrailSettings, now_us: int
) -> ClickThrough | None:
    """What the log says of the champion since its promotion and of the one before in the two weeks until then.

    A list counts once its time to be clicked is over (`click_through_hours`).

    Args:
        root: the storage root.
        pointer: the champion.
        rules: section `promotion.live_guardrails`.
        now_us: microseconds since 1970.

    Returns:
        None without a champion before, or while either has fewer than `click_through_users` users in the log.
    """
    if pointer.predecessor is None:
        return None
    promoted_us = int(dt.datetime.fromisoformat(pointer.promoted_at).timestamp() * 1e6)
    window_us = int(rules.click_through_hours * HOUR_US)
    versions = (pointer.predecessor, pointer.version)
    try:
        lists = lists_of_versions(root, versions, promoted_us - _DAYS_BEFORE * DAY_US, now_us - window_us)
    except TableNotFoundError:
        return None
    is_after = lists["served_at"] >= promoted_us
    sides = (
        lists[is_after & (lists["arm"] == pointer.version)],
        lists[~is_after & (lists["arm"] == pointer.predecessor)],
    )
    if min(side["user_id"].nunique() for side in sides) < max(rules.click_through_users, 2):
        return None
    champion, before = (_moments(root, side, window_us, now_us) for side in sides)
    return ClickThrough(champion, before)


def click_through_fault(found: ClickThrough, pointer: ChampionPointer, rules: LiveGuardrailSettings) -> str | None:
    """What is wrong with the champion's click-through, in a sentence for people; None if nothing surely is.

    Args:
        found: of `click_through`.
        pointer: the champion.
        rules: section `promotion.live_guardrails`.
    """
    champion, before, kept = found.champion, found.before, 1 - rules.click_through_fall
    error = math.hypot(champion.standard_error, kept * before.standard_error)
    if error == 0:
        return None
    users = min(champion.users, before.users)
    boundary = boundary_for(error * math.sqrt(users / rules.click_through_users), _LEVEL)
    if boundary.look(champion.rate - kept * before.rate, error).interval[1] >= 0:
        return None
    return (
        f"click-through is {champion.rate:.1%} over {champion.users} users, surely less than {kept:.0%} of the "
        f"{before.rate:.1%} of {pointer.predecessor}"
    )


def _moments(root: Path, lists: pd.DataFrame, window_us: int, now_us: int) -> ArmMoments:
    reactions = reactions_of(root, lists["user_id"], int(lists["served_at"].min()), now_us)
    served_at = reactions["ranking_id"].map(lists.set_index("ranking_id")["served_at"])
    in_time = reactions[~(reactions["at"] - served_at > window_us)]
    return metric_moments(attribute(lists, in_time, window_us / HOUR_US).cumulative()[-1], "ctr")
