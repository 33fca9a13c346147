import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from recommender_assets.evaluation.measures import lists
from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.split import Split
from recommender_serving.engine.config import RatingScale
from tests.splits import asked, items_of, nothing_at, observations_with, random_split, table_scores


def naive(scores, split: Split) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    appearances = [0] * split.n_items
    known_by = [sum(split.training.item == item) for item in range(split.n_items)]
    known_users = sum(bool(items_of(split.training, user)) for user in range(split.test.n_users))

    def add(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    def ndcg(ranked: list[int], relevant: set[int]) -> float:
        dcg = sum(1 / math.log2(r + 2) for r, item in enumerate(ranked[:10]) if item in relevant)
        return dcg / sum(1 / math.log2(r + 2) for r in range(min(10, len(relevant))))

    for user in range(split.test.n_users):
        known, relevant = items_of(split.training, user), items_of(split.test, user)
        rows = split.test.rows_of(user)
        liked = {i for i, r in zip(split.test.item[rows].tolist(), split.test.rating[rows], strict=True) if r >= 4}
        ranked = [i for i in np.argsort(-scores[user], kind="stable").tolist() if i not in known][:20]
        for item in ranked:
            appearances[item] += 1
        add("user_coverage", len(ranked) == 20 and bool(known))
        add("novelty_at_20", float(np.mean([math.log2(known_users / max(1, known_by[i])) for i in ranked])))
        if relevant:
            hits = [item in relevant for item in ranked]
            add("ndcg_at_10", ndcg(ranked, relevant))
            precisions = [sum(hits[: r + 1]) / (r + 1) for r in range(10) if hits[r]]
            add("map_at_10", sum(precisions) / min(10, len(relevant)))
            add("mrr_at_20", 1 / (hits.index(True) + 1) if any(hits) else 0.0)
            add("recall_at_20", sum(hits) / len(relevant))
            add("hit_rate_at_20", any(hits))
        if liked:
            add("liked_ndcg_at_10", ndcg(ranked, liked))
            add("liked_hit_rate_at_20", bool(liked & set(ranked)))
    pairs = [abs(a - b) for a in appearances for b in appearances]
    return {name: float(np.mean(values)) for name, values in found.items()} | {
        "coverage_at_20": sum(count > 0 for count in appearances) / split.n_items,
        "gini_at_20": sum(pairs) / (2 * split.n_items * sum(appearances)),
    }


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_equals_a_naive_implementation_whatever_the_block(block, monkeypatch):
    split = random_split()
    monkeypatch.setattr(lists, "_BLOCK_SCORES", block * split.n_items)
    scores = np.round(np.random.default_rng(2).random((25, 60)), 2).astype(np.float32)

    found = CATALOGUE.measure(table_scores(scores), split).values

    assert found == pytest.approx(naive(scores, split))
    assert set(found) == set(CATALOGUE.metrics)


def test_equals_scikit_learn_user_by_user():
    split = random_split()
    scores = np.random.default_rng(3).random((25, 60)).astype(np.float32)

    found = CATALOGUE.measure(table_scores(scores), split).by_user["ndcg_at_10"]

    for user in np.flatnonzero(found.count):
        candidates = sorted(set(range(60)) - items_of(split.training, user))
        gain = [float(item in items_of(split.test, user)) for item in candidates]
        assert found.total[user] == pytest.approx(ndcg_score([gain], [scores[user, candidates]], k=10))


def test_the_curves_pass_through_the_figures_and_never_fall_for_longer_lists():
    split = random_split()
    scores = np.random.default_rng(4).random((25, 60)).astype(np.float32)

    found = CATALOGUE.measure(table_scores(scores), split)

    assert found.curves["ndcg"][9] == pytest.approx(found.values["ndcg_at_10"])
    assert found.curves["hit_rate"][19] == pytest.approx(found.values["hit_rate_at_20"])
    assert found.curves["recall"][19] == pytest.approx(found.values["recall_at_20"])
    for name in ("hit_rate", "recall"):
        assert len(found.curves[name]) == 20
        assert (np.diff(found.curves[name]) >= 0).all()


def test_a_perfect_ranking_reaches_one_and_never_lists_training_items():
    split = random_split()
    wish = np.zeros((25, 60), dtype=np.float32)
    wish[split.test.user_of_row(), split.test.item] = 1.0
    wish[split.training.user_of_row(), split.training.item] = 2.0

    found = CATALOGUE.measure(table_scores(wish), split).values

    assert [found[name] for name in ("ndcg_at_10", "map_at_10", "mrr_at_20", "hit_rate_at_20")] == [1.0] * 4


def test_liked_items_are_those_of_four_stars_on_any_scale():
    scores = table_scores(np.arange(60.0)[None, ::-1])

    found = CATALOGUE.measure(scores, asked([(0, 5.0), (1, 4.9)], scale=RatingScale(min=-10.0, max=10.0))).values

    assert found["hit_rate_at_20"] == 1.0
    assert found["liked_ndcg_at_10"] == 1.0
    assert CATALOGUE.measure(scores, asked([(30, 3.5), (0, 3.5)])).values["hit_rate_at_20"] == 1.0
    assert math.isnan(CATALOGUE.measure(scores, asked([(30, 3.5), (0, 3.5)])).values["liked_hit_rate_at_20"])


def test_an_empty_hold_out_leaves_accuracy_undefined_and_coverage_measured():
    split = Split(nothing_at(2), nothing_at(2), 30, RatingScale())

    found = CATALOGUE.measure(table_scores(np.zeros((2, 30))), split).values

    defined = {name for name, value in found.items() if not math.isnan(value)}
    assert defined == {"user_coverage", "coverage_at_20", "gini_at_20", "novelty_at_20"}


def test_a_user_without_history_gets_a_list_that_covers_items_but_not_the_user():
    split = Split(observations_with([], [(0, 3.0)]), observations_with([(25, 5.0)], []), 30, RatingScale())

    found = CATALOGUE.measure(table_scores(np.arange(60.0).reshape(2, 30)), split).values

    assert found["hit_rate_at_20"] == 1.0
    assert found["ndcg_at_10"] == pytest.approx(1 / math.log2(6))
    assert found["user_coverage"] == 0.5
    assert found["coverage_at_20"] == pytest.approx(20 / 30)


def test_a_catalogue_of_one_item():
    split = Split(nothing_at(1), observations_with([(0, 5.0)]), 1, RatingScale())

    found = CATALOGUE.measure(table_scores(np.zeros((1, 1))), split).values

    assert (found["ndcg_at_10"], found["coverage_at_20"], found["user_coverage"]) == (1.0, 1.0, 0.0)
