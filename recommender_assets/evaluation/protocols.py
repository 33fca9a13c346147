"""The protocols: which items are ranked or predicted, for whom, and what counts as relevant.

`rating` predicts held-out ratings. `rerank` orders each user's own held-out items by predicted rating. `catalogue`
orders everything that is not in the user's training part. Numbers of different protocols or splits do not compare.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.metrics.average_precision import average_precision
from recommender_assets.evaluation.metrics.coverage import catalogue_coverage, user_coverage
from recommender_assets.evaluation.metrics.hit_rate import hit_rate
from recommender_assets.evaluation.metrics.ndcg import ndcg
from recommender_assets.evaluation.metrics.rmse import rmse
from recommender_assets.evaluation.top_items import top_items
from recommender_serving.engine.history import Observations

PairScores = Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.floating]]
"""Score of each (user, item) pair, two aligned index arrays."""
BlockScores = Callable[[slice], NDArray[np.float32]]
"""(users, n_items) scores of a range of users, -inf for items that can not be listed; the array may be overwritten."""

RERANK_N, CATALOGUE_N, LIST_N = 10, 10, 20
RERANK_LEAST_ITEMS = 10  # with fewer held-out items even a random order scores high
LIKED_FROM = 4.0  # stars

PROTOCOLS: dict[str, str] = {
    "rmse": "rating: held-out ratings, predictions clipped to the scale",
    "rerank_ndcg_at_10": "rerank: users with >= 10 held-out ratings, their held-out items, gain 2^rating - 1",
    "rerank_map_at_10": "rerank: users with >= 10 held-out ratings, relevant from 4 stars, over min(10, relevant)",
    "catalogue_ndcg_at_10": "catalogue: all items outside the user's training part, every held-out item relevant",
    "catalogue_hit_rate_at_20": "catalogue: share of users with a held-out item among the first 20",
    "user_coverage": "catalogue: share of users with a full list of 20 from their own training part",
    "catalogue_coverage": "catalogue: distinct items in all lists of 20 / all items",
}
"""What each metric means."""

_BLOCK_SCORES = 16_000_000  # bounds the memory of one block


def rating_metrics(predict: PairScores, held_out: Observations) -> dict[str, float]:
    """`rmse` over the held-out ratings."""
    rated = held_out.select(~np.isnan(held_out.rating))
    return {"rmse": rmse(predict(rated.user_of_row(), rated.item), rated.rating)}


def rerank_metrics(score: PairScores, held_out: Observations) -> dict[str, float]:
    """`rerank_ndcg_at_10` and `rerank_map_at_10`; equal scores are ordered by item index."""
    rated = held_out.select(~np.isnan(held_out.rating))
    enough = np.diff(rated.indptr) >= RERANK_LEAST_ITEMS
    rated = rated.select(enough[rated.user_of_row()])
    listed = _first_ratings(rated, -score(rated.user_of_row(), rated.item))[enough]
    ideal = _first_ratings(rated, -rated.rating)[enough]
    n_liked = np.bincount(rated.user_of_row(), rated.rating >= LIKED_FROM, minlength=rated.n_users)[enough]
    return {
        "rerank_ndcg_at_10": _mean(ndcg(np.exp2(listed) - 1.0, np.exp2(ideal) - 1.0)),
        "rerank_map_at_10": _mean(average_precision(listed >= LIKED_FROM, n_liked.astype(np.int64))),
    }


def catalogue_metrics(
    scores: BlockScores, training: Observations, held_out: Observations, n_items: int
) -> dict[str, float]:
    """`catalogue_ndcg_at_10`, `catalogue_hit_rate_at_20`, `user_coverage`, `catalogue_coverage`.

    Args:
        scores: scores of the whole catalogue.
        training: what the users are known by; these items are not listed.
        held_out: the relevant items, same users.
        n_items: size of the catalogue.
    """
    lists = _lists(scores, training, n_items)
    user = np.arange(len(lists))[:, None]
    relevant = held_out.user_of_row().astype(np.int64) * n_items + held_out.item
    is_relevant = np.isin(np.where(lists >= 0, user * n_items + lists, -1), relevant)
    n_relevant = np.diff(held_out.indptr)
    ideal = (np.arange(CATALOGUE_N) < n_relevant[:, None]).astype(np.float64)
    return {
        "catalogue_ndcg_at_10": _mean(ndcg(is_relevant[:, :CATALOGUE_N].astype(np.float64), ideal)),
        "catalogue_hit_rate_at_20": _mean(hit_rate(is_relevant, n_relevant)),
        "user_coverage": user_coverage(lists, np.diff(training.indptr) > 0),
        "catalogue_coverage": catalogue_coverage(lists, n_items),
    }


def _lists(scores: BlockScores, training: Observations, n_items: int) -> NDArray[np.int64]:
    block = max(1, _BLOCK_SCORES // n_items)
    user = training.user_of_row()
    lists = []
    for start in range(0, training.n_users, block):
        users = slice(start, min(start + block, training.n_users))
        rows = slice(int(training.indptr[users.start]), int(training.indptr[users.stop]))
        of_block = scores(users)
        of_block[user[rows] - users.start, training.item[rows]] = -np.inf
        lists.append(top_items(of_block, LIST_N))
    return np.concatenate(lists)


def _first_ratings(rated: Observations, rank_by: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n_users, 10) ratings of the items that come first by ascending `rank_by`, 0 where there are no more."""
    user = rated.user_of_row()
    order = np.lexsort((rated.item, rank_by, user))
    rank = np.arange(len(user)) - rated.indptr[user]
    first = rank < RERANK_N
    ratings = np.zeros((rated.n_users, RERANK_N))
    ratings[user[first], rank[first]] = rated.rating[order[first]]
    return ratings


def _mean(values: NDArray[np.float64]) -> float:
    """Mean over the users for whom the metric is defined; NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
