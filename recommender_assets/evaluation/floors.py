"""What needs no model: the floors that every figure stands next to."""

import numpy as np

from recommender_assets.evaluation.protocols import catalogue_metrics, rating_metrics, rerank_metrics
from recommender_serving.engine.history import Observations

_PSEUDO_RATINGS = 5.0  # an item's mean is drawn to the global mean by this many ratings
_SEED = 0


def floors(training: Observations, held_out: Observations, n_items: int) -> dict[str, dict[str, float]]:
    """Metrics of trivial rankings, by metric and then by floor.

    `random` scores at random, `popularity` by the number of users in the training part, `item_mean` by the mean rating
    there (shrunk to the global mean by five ratings).
    """
    random = np.random.default_rng(_SEED)
    popularity = np.bincount(training.item, minlength=n_items).astype(np.float32)
    item_mean = _item_means(training, n_items)
    by_floor = {
        "random": {
            **rerank_metrics(lambda user, _: random.random(len(user), dtype=np.float32), held_out),
            **catalogue_metrics(
                lambda users: random.random((users.stop - users.start, n_items), dtype=np.float32),
                training,
                held_out,
                n_items,
            ),
        },
        "popularity": {
            **rerank_metrics(lambda _, item: popularity[item], held_out),
            **catalogue_metrics(
                lambda users: np.tile(popularity, (users.stop - users.start, 1)), training, held_out, n_items
            ),
        },
        "item_mean": {
            **rating_metrics(lambda _, item: item_mean[item], held_out),
            **rerank_metrics(lambda _, item: item_mean[item], held_out),
        },
    }
    # A list drawn at random covers everything and says nothing; neither floor personalises.
    del by_floor["random"]["catalogue_coverage"]
    for name in ("random", "popularity"):
        del by_floor[name]["user_coverage"]
    by_metric: dict[str, dict[str, float]] = {}
    for floor, metrics in by_floor.items():
        for metric, value in metrics.items():
            by_metric.setdefault(metric, {})[floor] = value
    return by_metric


def _item_means(training: Observations, n_items: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rated = training.select(~np.isnan(training.rating))
    mean = rated.rating.mean(dtype=np.float64) if len(rated.rating) else 0.0
    total = np.bincount(rated.item, rated.rating - mean, minlength=n_items)
    return mean + total / (np.bincount(rated.item, minlength=n_items) + _PSEUDO_RATINGS)
