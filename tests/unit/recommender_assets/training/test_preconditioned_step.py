import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.preconditioned_step import step_rows
from recommender_assets.training.rows import Rows

PENALTY = 0.7
K = 5


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
    factors = random.normal(size=(15, K)).astype(np.float32)
    return rows, factors, (0.2 * factors.T @ factors).astype(np.float32)


def observed_loss(rows, factors, x) -> float:
    error = rows.target - np.einsum("nf,nf->n", x[rows.row_of_entry()], factors[rows.column])
    return float(np.sum(rows.weight * error**2))


def loss(rows, factors, gram, x) -> float:
    return observed_loss(rows, factors, x) + float(np.einsum("rf,fg,rg->", x, gram, x) + PENALTY * np.sum(x**2))


def exact(rows, factors, gram) -> np.ndarray:
    return solve_rows(rows, factors, np.full(K, PENALTY), np.zeros(K), gram=gram.astype(np.float64))


def naive_step(rows, factors, gram, x) -> np.ndarray:
    """The preconditioned gradient with the length that minimises the loss along it, in float64."""
    x = x.astype(np.float64)
    dense = gram.astype(np.float64) + PENALTY * np.eye(K)
    for row in range(rows.n_rows):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        y, w, t = factors[rows.column[entries]].astype(np.float64), rows.weight[entries], rows.target[entries]
        a = (y.T * w) @ y + dense
        gradient = a @ x[row] - y.T @ (w * t)
        direction = np.linalg.solve(dense, gradient)
        x[row] -= direction * (gradient @ direction) / (direction @ a @ direction)
    return x


def test_many_steps_reach_the_exact_solution():
    rows, factors, gram = problem()
    x = np.ones((rows.n_rows, K), dtype=np.float32)

    for _ in range(200):
        step_rows(rows, factors, x, PENALTY, gram)

    np.testing.assert_allclose(x, exact(rows, factors, gram), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_step_equals_a_naive_implementation(seed):
    rows, factors, gram = problem(seed)
    x = np.random.default_rng(seed).normal(size=(rows.n_rows, K)).astype(np.float32)
    expected = naive_step(rows, factors, gram, x)

    step_rows(rows, factors, x, PENALTY, gram)

    np.testing.assert_allclose(x, expected, atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.0, 1e-3, 1.0, 30.0]))
def test_the_loss_never_rises_and_the_told_part_of_it_is_that_of_the_observed(seed, length):
    rows, factors, gram = problem(seed)
    x = (length * np.random.default_rng(seed).normal(size=(rows.n_rows, K))).astype(np.float32)
    before = loss(rows, factors, gram, x)

    for _ in range(3):
        told = step_rows(rows, factors, x, PENALTY, gram)
        after = loss(rows, factors, gram, x)
        assert after <= before * (1 + 1e-5) + 1e-5
        assert told == pytest.approx(observed_loss(rows, factors, x), rel=1e-4, abs=1e-5 * (1 + before))
        before = after


def test_a_row_without_entries_goes_to_zero_at_once():
    rows, factors, gram = problem()
    x = np.ones((rows.n_rows, K), dtype=np.float32)

    step_rows(rows, factors, x, PENALTY, gram)

    np.testing.assert_allclose(x[1], 0.0, atol=1e-6)


def test_a_solved_row_stays_where_it_is():
    rows, factors, gram = problem()
    x = exact(rows, factors, gram).astype(np.float32)
    solved = x.copy()

    step_rows(rows, factors, x, PENALTY, gram)

    np.testing.assert_allclose(x, solved, atol=1e-5)


def test_nothing_to_do_is_done_without_a_division_by_zero():
    rows = Rows(np.array([0, 0, 0]), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32))
    x = np.zeros((2, K), dtype=np.float32)

    assert step_rows(rows, np.ones((3, K), np.float32), x, PENALTY, np.eye(K, dtype=np.float32)) == 0.0
    assert not x.any()


def test_other_rows_and_the_fixed_side_stay_as_they_are():
    rows, factors, gram = problem()
    fixed = factors.copy()
    x = np.ones((rows.n_rows, K), dtype=np.float32)
    step_rows(rows, factors, x, PENALTY, gram)
    alone = np.ones((1, K), dtype=np.float32)
    last = Rows(np.array([0, 1]), rows.column[18:], rows.target[18:], rows.weight[18:])

    step_rows(last, factors, alone, PENALTY, gram)

    assert alone[0].tobytes() == x[3].tobytes()
    np.testing.assert_array_equal(factors, fixed)
