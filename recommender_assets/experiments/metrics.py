"""The metrics of an experiment: which two sums over a user they divide."""

import pandas as pd

from recommender_assets.experiments.arm_moments import ArmMoments, arm_moments
from recommender_serving.engine.experiment_definition import Metric


def metric_moments(users: pd.DataFrame, metric: Metric) -> ArmMoments:
    """Moments of a metric over the users of one arm.

    `ctr` = lists with at least one click by served lists; `conversion` = users with at least one click by users;
    `mean_rating` = sum of ratings given to listed items by their number.

    Args:
        users: one row per user with `lists`, `clicked_lists`, `ratings`, `rating_sum`, and perhaps the same with the
            suffix `_before`, of the time before the experiment.
        metric: which one.

    Raises:
        ValueError: fewer than two users, or no rating at all for `mean_rating`.
    """
    before = _sums(users, metric, "_before") if "lists_before" in users else None
    numerator, denominator = _sums(users, metric)
    return arm_moments(numerator, denominator, before)


def _sums(users: pd.DataFrame, metric: Metric, suffix: str = "") -> tuple[pd.Series, pd.Series]:
    if metric == "conversion":
        converted = (users[f"clicked_lists{suffix}"] > 0).astype(float)
        return converted, pd.Series(1.0, index=users.index)
    top, bottom = ("clicked_lists", "lists") if metric == "ctr" else ("rating_sum", "ratings")
    return users[f"{top}{suffix}"], users[f"{bottom}{suffix}"]
