from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.training.coordinate_descent import gram_of, improve_rows
from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.rows import Rows

PENALTY = 0.7


def problem(seed: int = 0):
    random = np.random.default_rng(seed)
    counts = np.array([6, 0, 12, 1])
    n = counts.sum()
    rows = Rows(
        np.concatenate([[0], np.cumsum(counts)]),
        random.integers(0, 15, n).astype(np.int32),
        random.normal(size=n).astype(np.float32),
        random.random(n).astype(np.float32),
    )
    factors = random.normal(size=(15, 5)).astype(np.float32)
    prior = random.random(5).astype(np.float32)
    return rows, factors, prior, (0.2 * factors.T @ factors).astype(np.float32)


def loss(rows, factors, prior, gram, x) -> float:
    error = rows.target - np.einsum("nf,nf->n", x[rows.row_of_entry()], factors[rows.column])
    of_gram = 0.0 if gram is None else np.einsum("rf,fg,rg->", x, gram, x)
    return float(np.sum(rows.weight * error**2) + of_gram + PENALTY * np.sum((x - prior) ** 2))


@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("has_gram", [False, True])
def test_many_sweeps_reach_the_exact_solution(non_negative, has_gram):
    rows, factors, prior, gram = problem()
    used = gram if has_gram else None
    x = np.ones((rows.n_rows, 5), dtype=np.float32)

    improve_rows(rows, factors, x, PENALTY, prior, gram=used, non_negative=non_negative, sweeps=300)

    exact = solve_rows(
        rows,
        factors,
        np.full(5, PENALTY),
        prior.astype(np.float64),
        gram=None if used is None else used.astype(np.float64),
        non_negative=non_negative,
    )
    np.testing.assert_allclose(x, exact, atol=1e-4)


@pytest.mark.parametrize("non_negative", [False, True])
def test_no_sweep_raises_the_loss_or_leaves_the_feasible_side(non_negative):
    rows, factors, prior, gram = problem(seed=1)
    x = np.abs(np.random.default_rng(2).normal(size=(rows.n_rows, 5))).astype(np.float32)
    losses = [loss(rows, factors, prior, gram, x)]
    for _ in range(6):
        improve_rows(rows, factors, x, PENALTY, prior, gram=gram, non_negative=non_negative)
        losses.append(loss(rows, factors, prior, gram, x))
        assert not non_negative or (x >= 0).all()

    assert losses[1] < losses[0]
    assert all(later <= former + 1e-4 for former, later in pairwise(losses))


def test_the_told_error_is_that_of_the_improved_vectors():
    rows, factors, prior, gram = problem(seed=3)
    x = np.zeros((rows.n_rows, 5), dtype=np.float32)

    squares = improve_rows(rows, factors, x, PENALTY, prior, gram=gram)

    error = rows.target - np.einsum("nf,nf->n", x[rows.row_of_entry()], factors[rows.column])
    assert squares == pytest.approx(np.sum(rows.weight * error**2), rel=1e-5)


@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_the_gram_matrix_is_complete_whatever_the_number_of_rows(n):
    factors = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)

    np.testing.assert_allclose(gram_of(factors), factors.T @ factors, atol=1e-6)


def naive_sweep(rows, factors, prior, gram, x, *, non_negative: bool) -> np.ndarray:
    """One exact minimum per coordinate in turn, in float64."""
    x = x.astype(np.float64)
    for row in range(rows.n_rows):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        y, w, t = factors[rows.column[entries]].astype(np.float64), rows.weight[entries], rows.target[entries]
        a = (y.T * w) @ y + PENALTY * np.eye(len(prior)) + gram
        b = y.T @ (w * t) + PENALTY * prior
        for f in range(len(prior)):
            x[row, f] += (b[f] - a[f] @ x[row]) / a[f, f]
            if non_negative:
                x[row, f] = max(x[row, f], 0.0)
    return x


@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("sweeps", [1, 3])
def test_sweeps_equal_a_naive_implementation(non_negative, sweeps):
    rows, factors, prior, gram = problem(seed=4)
    x = np.abs(np.random.default_rng(5).normal(size=(rows.n_rows, 5))).astype(np.float32)
    expected = x
    for _ in range(sweeps):
        expected = naive_sweep(rows, factors, prior, gram, expected, non_negative=non_negative)

    improve_rows(rows, factors, x, PENALTY, prior, gram=gram, non_negative=non_negative, sweeps=sweeps)

    np.testing.assert_allclose(x, expected, atol=2e-5)
    assert not non_negative or (x == 0).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1_000), st.booleans(), st.booleans())
def test_the_loss_never_rises_from_any_start(seed, non_negative, has_gram):
    rows, factors, prior, gram = problem(seed)
    used = gram if has_gram else None
    x = np.abs(np.random.default_rng(seed).normal(size=(rows.n_rows, 5)) * 3).astype(np.float32)
    before = loss(rows, factors, prior, used, x)

    for _ in range(3):
        improve_rows(rows, factors, x, PENALTY, prior, gram=used, non_negative=non_negative)
        after = loss(rows, factors, prior, used, x)
        assert after <= before * (1 + 1e-5) + 1e-5
        before = after


def test_a_row_without_entries_goes_to_the_prior_at_once():
    rows, factors, prior, _ = problem()
    x = np.ones((rows.n_rows, 5), dtype=np.float32)

    improve_rows(rows, factors, x, PENALTY, prior)

    np.testing.assert_allclose(x[1], prior, rtol=1e-6)


def test_other_rows_and_the_fixed_side_stay_as_they_are():
    rows, factors, prior, gram = problem()
    fixed = factors.copy()
    x = np.ones((rows.n_rows, 5), dtype=np.float32)
    improve_rows(rows, factors, x, PENALTY, prior, gram=gram)
    alone = np.ones((1, 5), dtype=np.float32)
    last = Rows(np.array([0, 1]), rows.column[18:], rows.target[18:], rows.weight[18:])

    improve_rows(last, factors, alone, PENALTY, prior, gram=gram)

    assert alone[0].tobytes() == x[3].tobytes()
    np.testing.assert_array_equal(factors, fixed)
