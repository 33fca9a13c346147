import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.training import exact_solver, parallel
from recommender_assets.training.conjugate_gradients import solve_by_conjugate_gradients
from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.rows import Rows

K = 50


def rows_of(counts: list[int], n_columns: int, random: np.random.Generator) -> Rows:
    n = sum(counts)
    return Rows(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        random.integers(0, n_columns, n).astype(np.int32),
        random.normal(size=n).astype(np.float32),
        random.random(n).astype(np.float32),
    )


def expected(rows: Rows, row: int, factors, penalty, prior, *, gram=None) -> np.ndarray:
    entries = slice(rows.indptr[row], rows.indptr[row + 1])
    y, w = factors[rows.column[entries]].astype(np.float64), rows.weight[entries].astype(np.float64)
    system = (y.T * w) @ y + np.diag(penalty) + (0 if gram is None else gram)
    return np.linalg.solve(system, y.T @ (w * rows.target[entries]) + penalty * prior)


@st.composite
def problems(draw):
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    k = draw(st.integers(48, 70))
    rows = rows_of(draw(st.lists(st.sampled_from([0, 1, 2, 7, 8, 9, 60, 300]), min_size=1, max_size=5)), 30, random)
    factors = random.normal(scale=draw(st.sampled_from([0.05, 0.3, 1.0])), size=(30, k))
    if draw(st.booleans()):  # items that are nearly alike
        factors[10:] = factors[random.integers(0, 10, 20)] + random.normal(scale=1e-4, size=(20, k))
    penalty = draw(st.sampled_from([1e-3, 0.1, 5.0, 1e4])) * random.uniform(0.5, 2.0, k)
    half = random.normal(size=(k, k))
    gram = half @ half.T if draw(st.booleans()) else None
    prior = random.normal(size=(draw(st.sampled_from([1, rows.n_rows])), k))
    return rows, factors.astype(np.float32), penalty, prior, gram


@settings(deadline=None, max_examples=60)
@given(problems())
def test_every_row_solves_its_normal_equations(problem):
    rows, factors, penalty, prior, gram = problem

    found = solve_rows(rows, factors, penalty, prior, gram=gram)

    for row in range(rows.n_rows):
        exact = expected(rows, row, factors, penalty, prior[min(row, len(prior) - 1)], gram=gram)
        np.testing.assert_allclose(found[row], exact, atol=1e-6 * max(1.0, float(np.abs(exact).max())))


def test_what_is_said_to_be_solved_is_and_most_rows_are():
    random = np.random.default_rng(0)
    rows = rows_of([0, 1, 20, 100, 400], 200, random)
    factors = random.normal(scale=0.15, size=(200, K)).astype(np.float32)
    penalty, prior, solutions = np.full(K, 5.0), np.zeros((1, K)), np.full((5, K), np.nan)

    solved = solve_by_conjugate_gradients(rows, factors, penalty, prior, None, solutions)

    assert solved.all()
    for row, x in enumerate(solutions):
        np.testing.assert_allclose(x, expected(rows, row, factors, penalty, prior[0]), atol=1e-7)


@pytest.mark.parametrize("damage", ["tiny penalty", "infinite factor", "infinite target"])
def test_what_cannot_be_solved_quickly_is_left_to_cholesky(damage):
    random = np.random.default_rng(0)
    rows = rows_of([0, 300], 200, random)
    factors = random.normal(size=(200, K)).astype(np.float32)
    if damage == "infinite factor":
        factors[3] = np.inf
    if damage == "infinite target":
        rows.target[0] = np.inf
    penalty = np.full(K, 1e-9 if damage == "tiny penalty" else 1.0)

    solved = solve_by_conjugate_gradients(rows, factors, penalty, np.zeros((1, K)), None, np.empty((2, K)))

    assert not solved[1]


def test_a_row_depends_on_itself_and_the_factors_alone(monkeypatch):
    random = np.random.default_rng(1)
    rows = rows_of([30] * 40, 100, random)
    factors = random.normal(scale=0.3, size=(100, K)).astype(np.float32)
    arguments = (factors, np.full(K, 2.0), np.zeros(K))
    alone = Rows(np.array([0, 30]), rows.column[600:630], rows.target[600:630], rows.weight[600:630])
    together = solve_rows(rows, *arguments)

    monkeypatch.setattr(parallel, "_ENTRIES_PER_BLOCK", 100)
    monkeypatch.setattr(parallel, "n_threads", lambda: 3)

    assert solve_rows(rows, *arguments).tobytes() == together.tobytes()
    assert solve_rows(alone, *arguments)[0].tobytes() == together[20].tobytes()


def test_long_vectors_take_the_quick_way(monkeypatch):
    monkeypatch.setattr(exact_solver, "map_blocks", None)  # Cholesky would need it
    rows = rows_of([5, 0], 20, np.random.default_rng(0))

    found = solve_rows(rows, np.full((20, K), 0.1, dtype=np.float32), np.ones(K), np.zeros(K))

    np.testing.assert_array_equal(found[1], 0.0)


def test_a_penalty_that_rounding_swallows_is_left_to_the_exact_solver():
    random = np.random.default_rng(0)
    rows, factors = rows_of([3, 2], 3, random), random.normal(size=(3, K)).astype(np.float32)
    solutions = np.empty((2, K))
    arguments = (rows, factors, np.full(K, 1e-3), np.zeros((1, K)), np.full((K, K), 1e20))
    assert not solve_by_conjugate_gradients(*arguments, solutions).any()
