from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommender_serving.engine.explanation import explain_ranking, explain_rating
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from tests.factories import make_model

MODELS = {algorithm: make_model(algorithm, n_items=40, factors=8) for algorithm in ("svd", "nmf")}
seeds = st.integers(0, 2**32 - 1)
models = st.sampled_from(sorted(MODELS)).map(MODELS.__getitem__)


def past(seed: int, m: int) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Items, ratings (some absent) and strengths."""
    random = np.random.default_rng(seed)
    ratings = np.where(random.random(m) < 0.3, np.nan, random.integers(1, 11, m) / 2).astype(np.float32)
    return random.choice(40, m, replace=False), ratings, random.uniform(0.1, 1.0, m).astype(np.float32)


@settings(max_examples=200)
@given(models, seeds, st.integers(0, 30))
def test_the_terms_of_a_score_add_up_to_it(model: FactorModel, seed: int, m: int) -> None:
    head = replace(model.ranking, prior=np.full(8, 0.3, np.float32))
    items, _, strengths = past(seed, m)
    terms = explain_ranking(head, items, strengths, head.item_factors)
    vector = fold_in_ranking(head, items, strengths).astype(np.float32)
    assert terms.contributions.shape == (40, m)
    assert terms.prior + terms.contributions.sum(axis=1) == pytest.approx(head.item_factors @ vector, abs=1e-5)


@settings(max_examples=200)
@given(models, seeds, st.integers(0, 30))
def test_the_terms_of_a_predicted_rating_add_up_to_it(model: FactorModel, seed: int, m: int) -> None:
    head = model.rating
    items, ratings, _ = past(seed, m)
    terms = explain_rating(head, items, ratings, head.item_factors)
    vector, _ = fold_in_rating(head, items, ratings)
    assert terms.prior + terms.contributions.sum(axis=1) == pytest.approx(head.item_factors @ vector, abs=1e-5)


@given(models, seeds, st.integers(1, 20))
def test_a_contribution_is_linear_in_the_strength_of_what_pulls(model: FactorModel, seed: int, m: int) -> None:
    """A contribution is what would be missing if this observation pulled at nothing, all else being equal."""
    head = replace(model.ranking, non_negative=False)
    items, _, strengths = past(seed, m)
    terms = explain_ranking(head, items, strengths, head.item_factors)
    y = head.item_factors.astype(np.float64)
    weighted = y[items] * strengths[:, None]
    matrix = weighted.T @ y[items] + head.gram + head.regularization * np.eye(8)
    without_first = np.linalg.solve(matrix, weighted[1:].sum(axis=0) + head.regularization * head.prior)
    of_others = terms.prior + terms.contributions[:, 1:].sum(axis=1)
    assert of_others == pytest.approx(y @ without_first, abs=1e-8)


def test_an_unrated_item_contributes_by_the_implicit_term_alone() -> None:
    head = MODELS["svd"].rating
    items, ratings = np.array([3, 5]), np.array([4.0, np.nan], dtype=np.float32)
    with_term = explain_rating(head, items, ratings, head.item_factors).contributions
    without_term = explain_rating(
        replace(head, implicit_factors=head.implicit_factors[:0]), items, ratings, head.item_factors
    )
    assert np.abs(with_term[:, 1]).max() > 0
    assert np.all(without_term.contributions[:, 1] == 0)


def test_factors_at_zero_play_no_part() -> None:
    head = MODELS["nmf"].ranking
    random = np.random.default_rng(0)
    for _ in range(20):
        items, strengths = random.choice(40, 3, replace=False), np.ones(3, np.float32)
        vector = fold_in_ranking(head, items, strengths)
        if not (vector == 0).any():
            continue
        factor = np.zeros((1, 8))
        factor[0, int(np.flatnonzero(vector == 0)[0])] = 1.0
        assert not explain_ranking(head, items, strengths, factor).contributions.any()
        return
    pytest.fail("no solution had a factor at zero")


def test_nothing_listed_and_nothing_observed() -> None:
    head = MODELS["svd"].rating
    terms = explain_rating(head, np.empty(0, np.int32), np.empty(0, np.float32), np.empty((0, 8), np.float32))
    assert terms.prior.shape == (0,)
    assert terms.contributions.shape == (0, 0)
