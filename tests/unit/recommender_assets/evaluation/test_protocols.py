import math

import numpy as np
import pytest

from recommender_assets.evaluation.protocols import catalogue_metrics, rating_metrics, rerank_metrics
from recommender_assets.evaluation.splits import random_rows_per_user
from recommender_serving.engine.history import Observations
from tests.matrices import random_matrix


@pytest.fixture(scope="module")
def split() -> tuple[Observations, Observations, int]:
    matrix = random_matrix(n_users=25, n_items=60, density=0.6)
    mask = random_rows_per_user(matrix.observations, 0.4, seed=0)
    return matrix.observations.select(~mask), matrix.observations.select(mask), matrix.n_items


def pair_scores(scores):
    return lambda user, item: scores[user, item]


def test_rating_ignores_pairs_without_a_rating(split):
    _, test, _ = split
    assert np.isnan(test.rating).any()

    found = rating_metrics(lambda user, _: np.full(len(user), 3.0), test)

    rated = test.rating[~np.isnan(test.rating)]
    assert found["rmse"] == pytest.approx(math.sqrt(np.mean((rated - 3.0) ** 2)))


def naive_rerank(scores, test: Observations) -> tuple[float, float]:
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


def test_rerank_equals_a_naive_implementation(split):
    _, test, n_items = split
    scores = np.round(np.random.default_rng(1).random((test.n_users, n_items)), 1)

    found = rerank_metrics(pair_scores(scores), test)

    counts = np.bincount(test.user_of_row()[~np.isnan(test.rating)])
    assert counts.min() < 10 <= counts.max()
    assert (found["rerank_ndcg_at_10"], found["rerank_map_at_10"]) == pytest.approx(naive_rerank(scores, test))


def naive_catalogue(scores, training: Observations, test: Observations) -> dict[str, float]:
    ndcgs, hits, full, listed = [], [], [], set()
    for user in range(test.n_users):
        known = set(training.item[training.rows_of(user)].tolist())
        relevant = set(test.item[test.rows_of(user)].tolist())
        ranked = [i for i in np.argsort(-scores[user], kind="stable").tolist() if i not in known][:20]
        listed |= set(ranked)
        full.append(len(ranked) == 20 and bool(known))
        if relevant:
            dcg = sum(1 / math.log2(r + 2) for r, item in enumerate(ranked[:10]) if item in relevant)
            ndcgs.append(dcg / sum(1 / math.log2(r + 2) for r in range(min(10, len(relevant)))))
            hits.append(bool(relevant & set(ranked)))
    return {
        "catalogue_ndcg_at_10": float(np.mean(ndcgs)),
        "catalogue_hit_rate_at_20": float(np.mean(hits)),
        "user_coverage": float(np.mean(full)),
        "catalogue_coverage": len(listed) / scores.shape[1],
    }


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_catalogue_equals_a_naive_implementation_whatever_the_block(split, block, monkeypatch):
    training, test, n_items = split
    monkeypatch.setattr("recommender_assets.evaluation.protocols._BLOCK_SCORES", block * n_items)
    scores = np.round(np.random.default_rng(2).random((test.n_users, n_items)), 2).astype(np.float32)

    found = catalogue_metrics(lambda users: scores[users].copy(), training, test, n_items)

    assert found == pytest.approx(naive_catalogue(scores, training, test))


def test_a_perfect_ranking_reaches_one_and_never_lists_training_items(split):
    training, test, n_items = split
    wish = np.zeros((test.n_users, n_items), dtype=np.float32)
    wish[test.user_of_row(), test.item] = 1.0
    wish[training.user_of_row(), training.item] = 2.0

    found = catalogue_metrics(lambda users: wish[users].copy(), training, test, n_items)

    assert found["catalogue_ndcg_at_10"] == 1.0
    assert found["catalogue_hit_rate_at_20"] == 1.0


def test_metrics_without_qualifying_users_are_undefined():
    empty = Observations(
        np.zeros(3, dtype=np.int64), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32)
    )

    found = rerank_metrics(lambda user, _: np.zeros(len(user)), empty) | catalogue_metrics(
        lambda _: np.zeros((2, 30), dtype=np.float32), empty, empty, 30
    )

    assert {name for name, value in found.items() if math.isnan(value)} == {
        "rerank_ndcg_at_10",
        "rerank_map_at_10",
        "catalogue_ndcg_at_10",
        "catalogue_hit_rate_at_20",
    }


def observations_with(*users: list[tuple[int, float]]) -> Observations:
    rows = [sorted(of_user) for of_user in users]
    flat = [pair for of_user in rows for pair in of_user]
    return Observations(
        np.concatenate([[0], np.cumsum([len(of_user) for of_user in rows])]).astype(np.int64),
        np.array([item for item, _ in flat], dtype=np.int32),
        np.array([rating for _, rating in flat], dtype=np.float32),
        np.ones(len(flat), dtype=np.float32),
    )


def test_reranking_counts_rated_items_and_wants_ten_of_them():
    nine = [(i, 4.0) for i in range(9)]
    test = observations_with([*nine, (9, math.nan)], nine, [(i, 5.0 if i == 9 else 1.0) for i in range(10)])

    found = rerank_metrics(lambda _, item: item.astype(float), test)

    assert found == {"rerank_ndcg_at_10": 1.0, "rerank_map_at_10": 1.0}


def test_equal_scores_are_reranked_by_item_index():
    test = observations_with([(i, 5.0 if i == 2 else 1.0) for i in range(12)])

    found = rerank_metrics(lambda user, _: np.zeros(len(user)), test)

    assert found["rerank_map_at_10"] == pytest.approx(1 / 3)


def test_liking_begins_at_four_stars():
    test = observations_with([(i, 4.0 if i == 0 else 3.5) for i in range(10)])

    assert rerank_metrics(lambda _, item: item.astype(float), test)["rerank_map_at_10"] == pytest.approx(1 / 10)


def test_no_held_out_rating_leaves_the_error_undefined():
    test = observations_with([(0, math.nan)])

    assert math.isnan(rating_metrics(lambda user, _: np.zeros(len(user)), test)["rmse"])


def test_a_user_without_history_gets_a_list_that_covers_items_but_not_the_user():
    nothing, test = observations_with([], [(0, 3.0)]), observations_with([(25, 5.0)], [])
    scores = np.arange(60, dtype=np.float32).reshape(2, 30)

    found = catalogue_metrics(lambda users: scores[users].copy(), nothing, test, 30)

    assert found["catalogue_hit_rate_at_20"] == 1.0
    assert found["catalogue_ndcg_at_10"] == pytest.approx(1 / math.log2(6))
    assert found["user_coverage"] == 0.5
    assert found["catalogue_coverage"] == pytest.approx(20 / 30)
