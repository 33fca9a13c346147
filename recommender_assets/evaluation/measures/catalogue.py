"""`catalogue`: lists of 20 from everything that is not in the user's training part, by ranking score.

One pass makes the lists; all metrics and curves come from them. Every held-out item is relevant; the metrics that begin
with `liked` ask for those with 4 stars or more.
"""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.measures.lists import Relevance, relevance, unseen_lists
from recommender_assets.evaluation.measures.measure import Measure, Measured, MetricFacts
from recommender_assets.evaluation.metric_by_user import Float64s, MetricByUser
from recommender_assets.evaluation.metrics.average_precision import average_precision
from recommender_assets.evaluation.metrics.coverage import catalogue_coverage, user_coverage
from recommender_assets.evaluation.metrics.gini import gini
from recommender_assets.evaluation.metrics.hit_rate import hit_rate
from recommender_assets.evaluation.metrics.ndcg import ndcg
from recommender_assets.evaluation.metrics.novelty import novelty
from recommender_assets.evaluation.metrics.recall import recall
from recommender_assets.evaluation.metrics.reciprocal_rank import reciprocal_rank
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import LIKED_FROM, Split

SHORT, LONG = 10, 20


def _measure(scores: Scores, split: Split) -> Measured:
    lists = unseen_lists(scores.catalogue_scores, split.training, split.n_items, LONG)
    chosen = relevance(lists, split.test, split.n_items)
    is_liked = split.stars(split.test.rating) >= LIKED_FROM  # False without a rating
    liked = relevance(lists, split.test.select(is_liked), split.n_items)
    is_known = np.diff(split.training.indptr) > 0
    popularity = np.bincount(split.training.item, minlength=split.n_items)
    by_user = {
        "ndcg_at_10": _ndcg(chosen, SHORT),
        "map_at_10": average_precision(chosen.is_relevant[:, :SHORT], chosen.n_relevant),
        "mrr_at_20": reciprocal_rank(chosen.is_relevant, chosen.n_relevant),
        "recall_at_20": recall(chosen.is_relevant, chosen.n_relevant),
        "hit_rate_at_20": hit_rate(chosen.is_relevant, chosen.n_relevant),
        "liked_ndcg_at_10": _ndcg(liked, SHORT),
        "liked_hit_rate_at_20": hit_rate(liked.is_relevant, liked.n_relevant),
        "user_coverage": user_coverage(lists, is_known),
        "novelty_at_20": novelty(lists, popularity, int(is_known.sum())),
    }
    return Measured(
        by_user={name: MetricByUser.mean_over_users(values) for name, values in by_user.items()},
        of_lists={
            "coverage_at_20": catalogue_coverage(lists, split.n_items),
            "gini_at_20": gini(lists, split.n_items),
        },
        curves=_curves(chosen),
    )


def _ndcg(found: Relevance, n: int) -> Float64s:
    ideal = (np.arange(n) < found.n_relevant[:, None]).astype(np.float64)
    return ndcg(found.is_relevant[:, :n].astype(np.float64), ideal)


def _curves(found: Relevance) -> dict[str, Float64s]:
    lengths = range(1, LONG + 1)

    def mean(values: NDArray[np.floating]) -> float:
        return MetricByUser.mean_over_users(values).value

    return {
        "ndcg": np.array([mean(_ndcg(found, n)) for n in lengths]),
        "hit_rate": np.array([mean(hit_rate(found.is_relevant[:, :n], found.n_relevant)) for n in lengths]),
        "recall": np.array([mean(recall(found.is_relevant[:, :n], found.n_relevant)) for n in lengths]),
    }


_FLOORS = ("random", "popularity")

CATALOGUE = Measure(
    name="catalogue",
    metrics={
        "ndcg_at_10": MetricFacts("every held-out item relevant, first 10", _FLOORS),
        "map_at_10": MetricFacts("average precision of the first 10, over min(10, relevant)", _FLOORS),
        "mrr_at_20": MetricFacts("1 / rank of the first held-out item, 0 beyond 20", _FLOORS),
        "recall_at_20": MetricFacts("share of the user's held-out items among the first 20", _FLOORS),
        "hit_rate_at_20": MetricFacts("share of users with a held-out item among the first 20", _FLOORS),
        "liked_ndcg_at_10": MetricFacts("relevant are held-out items with 4 stars or more, first 10", _FLOORS),
        "liked_hit_rate_at_20": MetricFacts("share of users with such an item among the first 20", _FLOORS),
        "user_coverage": MetricFacts("share of users with a full list of 20 from their own training part"),
        "novelty_at_20": MetricFacts("mean -log2(share of users who know the item) over lists of 20", ("popularity",)),
        "coverage_at_20": MetricFacts("distinct items in all lists of 20 / all items", ("popularity",)),
        "gini_at_20": MetricFacts("inequality of how often items are listed: 0 all alike, 1 one item", ("popularity",)),
    },
    measure=_measure,
)
