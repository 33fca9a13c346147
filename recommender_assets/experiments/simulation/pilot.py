"""What visitors do before the experiment: the baseline that its plan rests on."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from recommender_assets.experiments.arm_moments import ArmMoments
from recommender_assets.experiments.metrics import metric_moments
from recommender_assets.experiments.progress import Progress
from recommender_assets.experiments.simulation.calendar import visits_by_day
from recommender_assets.experiments.simulation.population import Population
from recommender_assets.experiments.simulation.visitors import Crowd, ServedVisit
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Metric

PILOT_VISITORS = 1_000
_APART = 1_000_000  # added to the seed


def pilot_crowd(definition: ExperimentDefinition, population: Population, seed: int) -> Crowd:
    """Visitors of no experiment who ask for control's model; others than those of the experiment."""
    return Crowd(
        names=[f"pilot-{number:05d}" for number in range(PILOT_VISITORS)],
        population=population,
        seed=seed + _APART,
        algorithm=definition.variants["control"].algorithm,
    )


def pilot(crowd: Crowd, address: str, metric: Metric, duration_days: int, progress: Progress) -> ArmMoments:
    """Send a crowd and measure a metric on it.

    They come and come back as in an experiment of `duration_days` days, so that the plan knows how lists of one user
    resemble each other.

    Raises:
        ValueError: the metric is not defined, because nobody rated anything.
    """
    days = tuple(visits_by_day(len(crowd.names), duration_days, np.random.default_rng(crowd.seed)))
    total = sum(map(len, days))
    served: list[ServedVisit] = []
    for day, visits in enumerate(days):
        for chunk in crowd.visit(address, day, visits):
            served += chunk
            progress(f"pilot of {len(crowd.names):,} visitors", len(served), total)
    return pilot_moments(served, metric)


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
