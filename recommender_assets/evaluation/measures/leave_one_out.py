"""`leave_one_out`: one held-out item of each user among 99 sampled items that the user never met.

Sampled candidates flatter every model (Krichene and Rendle 2020, "On sampled metrics for item recommendation"): the
figures compare with others of this measure only. With several held-out items one is drawn; equal scores go by index.
"""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.measures.lists import unseen_lists, user_blocks
from recommender_assets.evaluation.measures.measure import Measure, Measured, MetricFacts
from recommender_assets.evaluation.metric_by_user import MetricByUser
from recommender_assets.evaluation.scores import BlockScores, Scores
from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import one_row_per_user
from recommender_serving.engine.history import Observations

NEGATIVES = 99
LENGTH = 10

_SEED = 99  # not that of the random floor, which would then rank the sampled items first


def _measure(scores: Scores, split: Split) -> Measured:
    asked = one_row_per_user(split.test, _SEED, least_rows=1)
    candidates = np.full((split.test.n_users, 1 + NEGATIVES), -1, dtype=np.int64)
    user = split.test.user_of_row()
    candidates[user[asked], 0] = split.test.item[asked]
    candidates[:, 1:] = _never_met(split)
    rank = _ranks(scores.catalogue_scores, candidates, split.n_items)
    has_item = candidates[:, 0] >= 0
    hit = rank < LENGTH
    return Measured(
        {
            "hit_rate_at_10": MetricByUser.mean_over_users(np.where(has_item, hit, np.nan)),
            "ndcg_at_10": MetricByUser.mean_over_users(np.where(has_item, hit / np.log2(rank + 2.0), np.nan)),
        }
    )


def _never_met(split: Split) -> NDArray[np.int64]:
    """(n_users, 99) distinct random items outside the user's training and test part, -1 where there are no more."""

    def chance(users: slice) -> NDArray[np.float32]:
        shape = (users.stop - users.start, split.n_items)
        return np.random.default_rng((_SEED, users.start)).random(shape, dtype=np.float32)

    return unseen_lists(chance, _met(split), split.n_items, NEGATIVES)


def _met(split: Split) -> Observations:
    """Every pair of either part."""
    user = np.concatenate([split.training.user_of_row(), split.test.user_of_row()])
    item = np.concatenate([split.training.item, split.test.item])
    order = np.lexsort((item, user))
    counts = np.diff(split.training.indptr) + np.diff(split.test.indptr)
    nothing = np.ones(len(item), dtype=np.float32)
    return Observations(np.concatenate([[0], np.cumsum(counts)]), item[order], nothing, nothing)


def _ranks(scores: BlockScores, candidates: NDArray[np.int64], n_items: int) -> NDArray[np.int64]:
    """(n_users,) how many of the other candidates come before the first one; -1 is no candidate."""
    ranks = np.empty(len(candidates), dtype=np.int64)
    for users in user_blocks(len(candidates), n_items):
        items = candidates[users]
        found = np.take_along_axis(scores(users), np.maximum(items, 0), axis=1)
        asked, others = found[:, :1], found[:, 1:]
        is_before = (others > asked) | ((others == asked) & (items[:, 1:] < items[:, :1]))
        ranks[users] = np.sum(is_before & (items[:, 1:] >= 0), axis=1)
    return ranks


_ITEMS = "one held-out item among 99 sampled items the user never met: "
_FLOORS = ("random", "popularity")

LEAVE_ONE_OUT = Measure(
    name="leave_one_out",
    metrics={
        "hit_rate_at_10": MetricFacts(_ITEMS + "share of users where it is among the first 10", _FLOORS),
        "ndcg_at_10": MetricFacts(_ITEMS + "1 / log2(rank + 1), 0 beyond 10", _FLOORS),
    },
    measure=_measure,
)
