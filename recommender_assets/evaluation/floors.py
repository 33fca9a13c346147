"""What needs no model: the floors that every figure stands next to."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.measures.measure import Measure, Measured
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split

_PSEUDO_RATINGS = 5.0  # an item's mean is drawn to the global mean by this many ratings
_SEED = 0


def random_scores(split: Split) -> Scores:
    """Every order by chance, the same one for the same seed, users and pairs."""

    def catalogue(users: slice) -> NDArray[np.float32]:
        shape = (users.stop - users.start, split.n_items)
        return np.random.default_rng((_SEED, users.start)).random(shape, dtype=np.float32)

    return Scores(lambda user, _: np.random.default_rng(_SEED).random(len(user)), catalogue)


def popularity_scores(split: Split) -> Scores:
    """The number of users in the training part."""
    popularity = np.bincount(split.training.item, minlength=split.n_items).astype(np.float32)
    return _of_items(popularity)


def item_mean_scores(split: Split) -> Scores:
    """The mean rating in the training part, drawn to the mean of all ratings by five ratings."""
    rated = split.training.select(~np.isnan(split.training.rating))
    mean = rated.rating.mean(dtype=np.float64) if len(rated.rating) else 0.0
    total = np.bincount(rated.item, rated.rating - mean, minlength=split.n_items)
    return _of_items(mean + total / (np.bincount(rated.item, minlength=split.n_items) + _PSEUDO_RATINGS))


FLOORS: dict[str, Callable[[Split], Scores]] = {
    "random": random_scores,
    "popularity": popularity_scores,
    "item_mean": item_mean_scores,
}


def measure_floors(measure: Measure, split: Split) -> dict[str, Measured]:
    """Figures of the floors of a measure, by floor; each only where the metric says it stands next to that floor."""
    wanted = {name: {metric for metric, facts in measure.metrics.items() if name in facts.floors} for name in FLOORS}
    return {
        name: _only(measure.measure(FLOORS[name](split), split), metrics) for name, metrics in wanted.items() if metrics
    }


def _of_items(score: NDArray[np.floating]) -> Scores:
    row = score.astype(np.float32)
    return Scores(lambda _, item: score[item], lambda users: np.tile(row, (users.stop - users.start, 1)))


def _only(measured: Measured, metrics: set[str]) -> Measured:
    return Measured(
        by_user={name: metric for name, metric in measured.by_user.items() if name in metrics},
        of_lists={name: value for name, value in measured.of_lists.items() if name in metrics},
        curves=measured.curves,
    )
