import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from recommender_assets.evaluation.measures.rerank import RERANK
from recommender_serving.engine.config import RatingScale
from tests.splits import NAN, asked, random_split, table_scores

BY_INDEX = table_scores(np.tile(np.arange(60.0), (3, 1)))


def naive(scores, test) -> tuple[float, float]:
    ndcgs, precisions = [], []
    for user in range(test.n_users):
        rows = test.rows_of(user)
        pairs = [
            (-scores[user, item], item, float(rating))
            for item, rating in zip(test.item[rows], test.rating[rows], strict=True)
            if not math.isnan(rating)
        ]
        if len(pairs) < 10:
            continue
        ranked = [rating for _, _, rating in sorted(pairs)][:10]
        best = sorted((rating for *_, rating in pairs), reverse=True)[:10]
        dcg, ideal = (sum((2**r - 1) / math.log2(i + 2) for i, r in enumerate(rs)) for rs in (ranked, best))
        ndcgs.append(dcg / ideal)
        liked = sum(rating >= 4 for *_, rating in pairs)
        if liked:
            hits = [r >= 4 for r in ranked]
            precisions.append(sum(sum(hits[: i + 1]) / (i + 1) for i in range(len(hits)) if hits[i]) / min(10, liked))
    return float(np.mean(ndcgs)), float(np.mean(precisions))


def test_equals_a_naive_implementation():
    split = random_split()
    scores = np.round(np.random.default_rng(1).random((25, 60)), 1)

    found = RERANK.measure(table_scores(scores), split).values

    counts = np.diff(split.rated_test.indptr)
    assert counts.min() < 10 <= counts.max()
    assert (found["ndcg_at_10"], found["map_at_10"]) == pytest.approx(naive(scores, split.test))
    assert set(found) == set(RERANK.metrics)


def test_equals_scikit_learn_user_by_user():
    split = random_split()
    scores = np.random.default_rng(2).random((25, 60))

    found = RERANK.measure(table_scores(scores), split).by_user["ndcg_at_10"]

    rated = split.rated_test
    for user in np.flatnonzero(found.count):
        rows = rated.rows_of(user)
        gain = np.exp2(rated.rating[rows].astype(np.float64)) - 1
        expected = ndcg_score([gain], [scores[user, rated.item[rows]]], k=10)
        assert found.total[user] == pytest.approx(expected)


def test_counts_rated_items_and_wants_ten_of_them():
    nine = [(i, 4.0) for i in range(9)]
    split = asked([*nine, (9, NAN)], nine, [(i, 5.0 if i == 9 else 1.0) for i in range(10)])

    assert RERANK.measure(BY_INDEX, split).values == {"ndcg_at_10": 1.0, "map_at_10": 1.0}


def test_equal_scores_are_ordered_by_item_index():
    split = asked([(i, 5.0 if i == 2 else 1.0) for i in range(12)])

    assert RERANK.measure(table_scores(np.zeros((1, 60))), split).values["map_at_10"] == pytest.approx(1 / 3)


def test_liking_begins_at_four_stars():
    split = asked([(i, 4.0 if i == 0 else 3.5) for i in range(10)])

    assert RERANK.measure(BY_INDEX, split).values["map_at_10"] == pytest.approx(1 / 10)


@pytest.mark.parametrize(("low", "high"), [(1.0, 10.0), (-10.0, 10.0), (0.0, 5_000.0)])
def test_other_scales_are_read_as_one_to_five_stars(low, high):
    stars = [1.0, 2.0, 3.0, 4.0, 5.0] * 2
    other = [(i, low + (high - low) * (s - 1) / 4) for i, s in enumerate(stars)]

    found = RERANK.measure(BY_INDEX, asked(other, scale=RatingScale(min=low, max=high))).values

    expected = RERANK.measure(BY_INDEX, asked(list(enumerate(stars)), scale=RatingScale(min=1.0, max=5.0))).values
    assert found == pytest.approx(expected)


def test_without_qualifying_users_nothing_is_defined():
    found = RERANK.measure(BY_INDEX, asked([(0, 4.0)], [])).values

    assert all(math.isnan(value) for value in found.values())
