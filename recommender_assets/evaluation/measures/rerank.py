"""`rerank`: the order of each user's own held-out items by predicted rating.

Every item is one that the user chose to rate, so even a random order scores high; compare with the floors.
"""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.measures.measure import Measure, Measured, MetricFacts
from recommender_assets.evaluation.metric_by_user import MetricByUser
from recommender_assets.evaluation.metrics.average_precision import average_precision
from recommender_assets.evaluation.metrics.ndcg import ndcg
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import LIKED_FROM, Split
from recommender_serving.engine.history import Observations

LENGTH = 10
LEAST_ITEMS = 10  # with fewer held-out items even a random order scores high


def _measure(scores: Scores, split: Split) -> Measured:
    rated = split.rated_test
    enough = np.diff(rated.indptr) >= LEAST_ITEMS
    rated = rated.select(enough[rated.user_of_row()])
    stars = split.stars(rated.rating)
    predicted = scores.predicted_ratings(rated.user_of_row(), rated.item)
    listed, ideal = _first_stars(rated, stars, -predicted), _first_stars(rated, stars, -stars)
    n_liked = np.bincount(rated.user_of_row(), stars >= LIKED_FROM, minlength=rated.n_users).astype(np.int64)
    return Measured(
        {
            "ndcg_at_10": MetricByUser.mean_over_users(ndcg(_gains(listed), _gains(ideal))),
            "map_at_10": MetricByUser.mean_over_users(average_precision(listed >= LIKED_FROM, n_liked)),
        }
    )


def _gains(stars: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp2(stars) - 1.0


def _first_stars(rated: Observations, stars: NDArray[np.float64], rank_by: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n_users, 10) stars of the items that come first by ascending `rank_by`, 0 where there are no more."""
    user = rated.user_of_row()
    order = np.lexsort((rated.item, rank_by, user))
    rank = np.arange(len(user)) - rated.indptr[user]
    first = rank < LENGTH
    found = np.zeros((rated.n_users, LENGTH))
    found[user[first], rank[first]] = stars[order[first]]
    return found


_USERS = "users with >= 10 held-out ratings, their held-out items by predicted rating, "
_FLOORS = ("random", "popularity", "item_mean")

RERANK = Measure(
    name="rerank",
    metrics={
        "ndcg_at_10": MetricFacts(_USERS + "gain 2^stars - 1", _FLOORS),
        "map_at_10": MetricFacts(_USERS + "relevant from 4 stars, over min(10, relevant)", _FLOORS),
    },
    measure=_measure,
)
