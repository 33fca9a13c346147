import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import nnls

from recommender_serving.engine.nnls import solve_nnls

Problem = tuple[NDArray[np.float64], NDArray[np.float64]]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Least squares |Cx - d|^2 + ridge |x|^2 of any conditioning, as its normal equations (A, b)."""
    k = draw(st.integers(1, 24))
    rows = draw(st.integers(0, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    factors = random.normal(size=(rows, k)) * 10.0 ** draw(st.integers(-3, 3))
    factors = np.abs(factors) if draw(st.booleans()) else factors
    if draw(st.booleans()):
        factors[:, k // 2 :] = factors[:, : k - k // 2]  # equal columns
    ridge = 10.0 ** draw(st.integers(-6, 1)) * max(1.0, np.abs(factors).max(initial=0.0) ** 2)
    return factors.T @ factors + ridge * np.eye(k), factors.T @ random.normal(size=rows) + random.normal(size=k)


@settings(max_examples=300)
@given(problems())
def test_the_optimality_conditions_hold(problem: Problem) -> None:
    a, b = problem
    x = solve_nnls(a, b)
    y = a @ x - b
    scale = np.abs(a).max() * np.abs(x).max(initial=0.0) + np.abs(b).max()
    assert np.all(x >= 0)
    assert np.all(y >= -1e-10 * scale)
    assert np.all(np.abs(y[x > 0]) <= 1e-10 * scale)


@given(problems())
def test_the_solution_is_that_of_scipy(problem: Problem) -> None:
    a, b = problem
    root = np.linalg.cholesky(a)
    expected, _ = nnls(root.T, np.linalg.solve(root, b))
    assert solve_nnls(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-8 * (1 + np.abs(expected).max()))


def test_without_a_binding_limit_it_is_plain_least_squares() -> None:
    a = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert solve_nnls(a, a @ [1.0, 2.0]) == pytest.approx([1.0, 2.0])


def test_a_user_who_likes_nothing_is_zero() -> None:
    assert solve_nnls(np.eye(3), np.array([-1.0, -2.0, 0.0])).tolist() == [0.0, 0.0, 0.0]


def test_the_backup_rule_ends_where_full_exchanges_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender_serving.engine.nnls._FULL_EXCHANGES", 0)
    random = np.random.default_rng(1)
    for _ in range(50):
        factors = random.normal(size=(30, 20))
        a, b = factors.T @ factors + 0.01 * np.eye(20), random.normal(size=20)
        y = a @ (x := solve_nnls(a, b)) - b
        assert np.all(x >= 0)
        assert np.all(y >= -1e-9)
        assert np.all(np.abs(y * x) <= 1e-9)


def test_a_matrix_that_lets_the_exchanges_cycle_is_an_error() -> None:
    # Not positive definite: no partition is ever feasible.
    with pytest.raises(ArithmeticError, match="is the matrix positive definite"):
        solve_nnls(np.array([[-1.0]]), np.array([1.0]))
