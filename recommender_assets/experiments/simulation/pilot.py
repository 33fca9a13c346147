"""What visitors do before the experiment: the baseline that its plan rests on."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from recommender_assets.experiments.arm_moments import ArmMoments
from recommender_assets.experiments.metrics import metric_moments
from recommender_assets.experiments.simulation.calendar import visits_by_day
from recommender_assets.experiments.simulation.population import Population
from recommender_assets.experiments.simulation.visitors import Crowd, ServedVisit
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Metric

PILOT_VISITORS = 1_000


def pilot(
    address: str, definition: ExperimentDefinition, population: Population, duration_days: int, seed: int
) -> ArmMoments:
    """Send visitors of no experiment to control's model and measure the definition's metric on them.

    They come and come back as in an experiment of `duration_days` days, so that the plan knows how lists of one user
    resemble each other.

    Raises:
        ValueError: the metric is not defined, because nobody rated anything.
    """
    crowd = Crowd(
        names=[f"pilot-{number:05d}" for number in range(PILOT_VISITORS)],
        population=population,
        seed=seed,
        algorithm=definition.variants["control"].algorithm,
    )
    days = visits_by_day(PILOT_VISITORS, duration_days, np.random.default_rng(seed))
    served = (one for day, visits in enumerate(days) for chunk in crowd.visit(address, day, visits) for one in chunk)
    return pilot_moments(served, definition.metric)


def pilot_moments(served: Iterable[ServedVisit], metric: Metric) -> ArmMoments:
    """The metric over the users of these visits."""
    rows = pd.DataFrame(
        [
            {
                "user_id": one.user_id,
                "lists": 1,
                "clicked_lists": int(bool(one.clicked)),
                "ratings": sum(rating is not None for rating in one.clicked),
                "rating_sum": sum(rating for rating in one.clicked if rating is not None),
            }
            for one in served
        ]
    )
    return metric_moments(rows.groupby("user_id").sum(), metric)
