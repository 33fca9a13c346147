"""The metrics of an experiment: which two sums over a user they divide."""

import pandas as pd

from recommender_assets.experiments.arm_moments import ArmMoments, arm_moments
from recommender_serving.engine.experiment_definition import Metric


def metric_moments(users: pd.DataFrame, metric: Metric) -> ArmMoments:
    """Moments of a metric over the users of one arm.

    `ctr` = lists with at least one click by served lists; `conversion` = users with at least one click by users;
    `mean_rating` = sum of ratings given to listed items by their number.

    Args:
        users: one row per user with `lists`, `clicked_lists`, `ratings`, `rating_sum`.
        metric: which one.

    Raises:
        ValueError: fewer than two users, or no rating at all for `mean_rating`.
    """
    if metric == "conversion":
        return arm_moments(users["clicked_lists"] > 0)
    if metric == "ctr":
        return arm_moments(users["clicked_lists"], users["lists"])
    return arm_moments(users["rating_sum"], users["ratings"])
