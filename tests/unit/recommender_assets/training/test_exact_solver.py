import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.rows import Rows
from recommender_serving.engine.fold_in import user_system


@st.composite
def problems(draw):
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    k, n_columns = draw(st.integers(1, 12)), draw(st.integers(1, 15))
    counts = [draw(st.integers(0, n_columns)) for _ in range(draw(st.integers(1, 4)))]
    n = sum(counts)
    rows = Rows(
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        column=np.concatenate([np.sort(random.permutation(n_columns)[:c]) for c in counts]).astype(np.int32),
        target=random.normal(size=n).astype(np.float32),
        weight=random.random(n).astype(np.float32),
    )
    half = random.normal(size=(k, k))
    gram = half @ half.T if draw(st.booleans()) else None
    factors = random.normal(size=(n_columns, k)).astype(np.float32)
    return (
        rows,
        factors,
        random.uniform(0.05, 3.0, k),
        random.normal(size=(draw(st.sampled_from([1, len(counts)])), k)),
        gram,
    )


@settings(deadline=None)
@given(problems(), st.booleans())
def test_every_row_equals_the_solution_of_the_service(problem, non_negative):
    rows, factors, penalty, prior, gram = problem

    found = solve_rows(rows, factors, penalty, prior, gram=gram, non_negative=non_negative)

    for row in range(rows.n_rows):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        expected = user_system(
            factors[rows.column[entries]],
            rows.target[entries],
            rows.weight[entries],
            penalty,
            prior[min(row, len(prior) - 1)],
            gram=gram,
            non_negative=non_negative,
        ).solution()
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


@pytest.mark.parametrize("non_negative", [False, True])
def test_a_row_depends_on_itself_alone(non_negative):
    random = np.random.default_rng(0)
    factors = random.normal(size=(20, 6)).astype(np.float32)
    counts = np.array([5, 0, 9])
    n = counts.sum()
    rows = Rows(
        np.concatenate([[0], np.cumsum(counts)]),
        random.integers(0, 20, n).astype(np.int32),
        random.random(n).astype(np.float32),
        np.ones(n, dtype=np.float32),
    )
    last = Rows(np.array([0, 9]), rows.column[5:], rows.target[5:], rows.weight[5:])
    arguments = (factors, np.full(6, 0.5), np.zeros(6))

    together = solve_rows(rows, *arguments, non_negative=non_negative)

    assert together[2].tobytes() == solve_rows(last, *arguments, non_negative=non_negative)[0].tobytes()


def test_read_only_arrays_are_solved_alike():
    rows = Rows(
        np.array([0, 2]), np.array([0, 1], dtype=np.int32), np.ones(2, dtype=np.float32), np.ones(2, dtype=np.float32)
    )
    factors = np.eye(2, dtype=np.float32)
    expected = solve_rows(rows, factors, np.ones(2), np.zeros(2))
    factors.flags.writeable = False

    np.testing.assert_array_equal(solve_rows(rows, factors, np.ones(2), np.zeros(2)), expected)
    np.testing.assert_allclose(expected, [[0.5, 0.5]])


@pytest.mark.parametrize("has_gram", [False, True])
@pytest.mark.parametrize("k", [1, 2, 5, 16, 33])
def test_rows_solve_their_normal_equations(k, has_gram):
    random = np.random.default_rng(k)
    factors = random.normal(size=(12, k)).astype(np.float32)
    column = np.array([0, 3, 11, 3, 5, 7], dtype=np.int32)
    weight, target = random.random(6).astype(np.float32), random.normal(size=6).astype(np.float32)
    rows = Rows(np.array([0, 1, 1, 6]), column, target, weight)
    penalty, prior = random.uniform(0.1, 2.0, k), random.normal(size=k)
    half = random.normal(size=(k, k))
    gram = half @ half.T if has_gram else None

    found = solve_rows(rows, factors, penalty, prior, gram=gram)

    for row, entries in enumerate((slice(0, 1), slice(1, 1), slice(1, 6))):
        y, w = factors[column[entries]].astype(np.float64), weight[entries].astype(np.float64)
        a = (y.T * w) @ y + np.diag(penalty) + (0 if gram is None else gram)
        np.testing.assert_allclose(
            found[row], np.linalg.solve(a, y.T @ (w * target[entries]) + penalty * prior), atol=1e-8
        )


@pytest.mark.parametrize("k", [1, 3, 16, 33])
def test_non_negative_rows_meet_the_optimality_conditions(k):
    random = np.random.default_rng(k)
    factors = random.normal(size=(20, k)).astype(np.float32)
    rows = Rows(
        np.arange(0, 61, 15),
        random.integers(0, 20, 60).astype(np.int32),
        random.normal(size=60).astype(np.float32),
        random.random(60).astype(np.float32),
    )
    penalty, prior = np.full(k, 0.3), random.normal(size=k)

    found = solve_rows(rows, factors, penalty, prior, non_negative=True)

    assert (found >= 0).all()
    for row, x in enumerate(found):
        entries = slice(rows.indptr[row], rows.indptr[row + 1])
        y, w = factors[rows.column[entries]].astype(np.float64), rows.weight[entries]
        slope = y.T @ (w * (y @ x - rows.target[entries])) + penalty * (x - prior)
        assert (slope > -1e-8).all()
        np.testing.assert_allclose(slope * x, 0, atol=1e-8)


def test_weights_count_like_repetitions_and_zero_weight_like_nothing():
    factors = np.array([[1.0, 0.5], [0.25, 2.0]], dtype=np.float32)
    arguments = (factors, np.ones(2), np.zeros(2))

    def solve(column, target, weight):
        arrays = (np.array(column, dtype=np.int32), np.array(target, np.float32), np.array(weight, np.float32))
        return solve_rows(Rows(np.array([0, len(column)]), *arrays), *arguments)

    np.testing.assert_allclose(
        solve([0, 1], [3, 1], [3, 1]), solve([0, 0, 0, 1], [3, 3, 3, 1], [1, 1, 1, 1]), rtol=1e-12
    )
    np.testing.assert_array_equal(solve([0, 1], [3, 1], [1, 0]), solve([0], [3], [1]))


@pytest.mark.parametrize("non_negative", [False, True])
@pytest.mark.parametrize("damaged", ["factors", "target", "weight"])
def test_a_row_without_a_finite_solution_is_named(non_negative, damaged):
    factors = np.eye(3, dtype=np.float32)
    rows = Rows(
        np.array([0, 1, 3]), np.array([0, 1, 2], dtype=np.int32), np.ones(3, np.float32), np.ones(3, np.float32)
    )
    {"factors": factors[1], "target": rows.target[1:], "weight": rows.weight[1:]}[damaged][:1] = np.nan

    with pytest.raises(ArithmeticError, match="row 1 of 2"):
        solve_rows(rows, factors, np.ones(3), np.zeros(3), non_negative=non_negative)


def test_exchanges_that_never_end_are_given_up():
    indefinite = np.array([[1.0, 3.0, -2.0], [3.0, 1.0, 4.0], [-2.0, 4.0, 1.0]])
    rows = Rows(np.array([0, 0]), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32))

    with pytest.raises(ArithmeticError, match="row 0 of 1"):
        solve_rows(
            rows, np.eye(3, dtype=np.float32), np.full(3, 1e-9), np.full(3, 1e9), gram=indefinite, non_negative=True
        )
