"""Compiled exact least squares, one problem per row: the twin of `engine/fold_in.py` and `engine/nnls.py`.

Arithmetic is float64. The result of a row depends on that row alone, so any division of the rows gives the same.
"""
# ruff: noqa: PLR0917 (compiled functions take positional arguments only)

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.compilation import kernel, writable
from recommender_assets.training.rows import Rows

Float64s = NDArray[np.float64]

_FULL_EXCHANGES = 3  # as in `engine/nnls.py`
_TOLERANCE = 64 * float(np.finfo(np.float64).eps)


def solve_rows(
    rows: Rows,
    factors: NDArray[np.float32],
    penalty: Float64s,
    prior: Float64s,
    *,
    gram: Float64s | None = None,
    non_negative: bool = False,
) -> Float64s:
    """For each row minimise sum_j w_j (t_j - x.y_j)^2 + x' gram x + (x - prior)' diag(penalty) (x - prior).

    Args:
        rows: n_rows problems; `column` refers to rows of `factors`.
        factors: (n_columns, k).
        penalty: (k,) greater than 0.
        prior: (k,) for all rows, or (n_rows, k).
        gram: (k, k), None for zeros.
        non_negative: whether x >= 0 is required.

    Returns:
        (n_rows, k) float64.
    """
    k = factors.shape[1]
    solutions = np.empty((rows.n_rows, k))
    _solve_rows(
        writable(rows.indptr),
        writable(rows.column),
        writable(rows.target),
        writable(rows.weight),
        writable(factors),
        penalty,
        np.atleast_2d(prior),
        np.zeros((k, k)) if gram is None else writable(gram),
        non_negative,
        solutions,
    )
    return solutions


@kernel
def _solve_rows(
    indptr: NDArray[np.int64],
    column: NDArray[np.int32],
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
    factors: NDArray[np.float32],
    penalty: Float64s,
    prior: Float64s,
    gram: Float64s,
    non_negative: bool,  # noqa: FBT001
    solutions: Float64s,
) -> None:
    k = factors.shape[1]
    a = np.empty((k, k))
    b = np.empty(k)
    cholesky = np.empty((k, k))
    is_free = np.empty(k, dtype=np.bool_)
    is_infeasible = np.empty(k, dtype=np.bool_)
    for row in range(indptr.size - 1):
        a[:] = gram
        for f in range(k):
            b[f] = penalty[f] * prior[min(row, prior.shape[0] - 1), f]
            a[f, f] += penalty[f]
        for j in range(indptr[row], indptr[row + 1]):
            _add_observation(factors[column[j]], target[j], weight[j], a, b)
        x = solutions[row]
        is_free[:] = True
        _solve_free(a, b, is_free, cholesky, x)
        if non_negative:
            _make_non_negative(a, b, is_free, is_infeasible, cholesky, x)


@kernel
def _add_observation(y: NDArray[np.float32], target: float, weight: float, a: Float64s, b: Float64s) -> None:
    """Add w y y' to the lower triangle of A and w t y to b."""
    for f in range(b.size):
        weighted = np.float64(weight) * y[f]
        b[f] += weighted * target
        for g in range(f + 1):
            a[f, g] += weighted * y[g]


@kernel
def _solve_free(a: Float64s, b: Float64s, is_free: NDArray[np.bool_], cholesky: Float64s, x: Float64s) -> None:
    """Solve A x = b on the free coordinates by Cholesky, with x = 0 on the others; reads A's lower triangle."""
    free = np.flatnonzero(is_free)
    x[:] = 0.0
    for p in range(free.size):
        for q in range(p + 1):
            rest = a[free[p], free[q]]
            for r in range(q):
                rest -= cholesky[p, r] * cholesky[q, r]
            cholesky[p, q] = np.sqrt(rest) if p == q else rest / cholesky[q, q]
        rest = b[free[p]]
        for r in range(p):
            rest -= cholesky[p, r] * x[free[r]]
        x[free[p]] = rest / cholesky[p, p]
    for p in range(free.size - 1, -1, -1):
        x[free[p]] /= cholesky[p, p]
        for r in range(p):
            x[free[r]] -= cholesky[p, r] * x[free[p]]


@kernel
def _make_non_negative(
    a: Float64s,
    b: Float64s,
    is_free: NDArray[np.bool_],
    is_infeasible: NDArray[np.bool_],
    cholesky: Float64s,
    x: Float64s,
) -> None:
    """Block principal pivoting from the unconstrained solution x, rule by rule as in `engine/nnls.py`."""
    fewest, exchanges_left = b.size + 1, _FULL_EXCHANGES
    while True:
        count, last = _mark_infeasible(a, b, is_free, is_infeasible, x)
        if count == 0:
            break
        if count < fewest:
            fewest, exchanges_left = count, _FULL_EXCHANGES
        elif exchanges_left > 0:
            exchanges_left -= 1
        else:
            is_infeasible[:] = False
            is_infeasible[last] = True
        for f in range(b.size):
            is_free[f] ^= is_infeasible[f]
        _solve_free(a, b, is_free, cholesky, x)
    for f in range(b.size):
        x[f] = max(x[f], 0.0)


@kernel
def _mark_infeasible(
    a: Float64s, b: Float64s, is_free: NDArray[np.bool_], is_infeasible: NDArray[np.bool_], x: Float64s
) -> tuple[int, int]:
    """Mark free coordinates with x < 0 and bound ones with (Ax - b) < 0; their number and the last of them."""
    k = b.size
    x_greatest = np.abs(x).max()
    x_floor = _TOLERANCE * k * x_greatest
    a_greatest = 0.0
    for f in range(k):
        a_greatest = max(a_greatest, a[f, f])  # the greatest entry of a positive definite matrix is on its diagonal
    y_floor = _TOLERANCE * k * (a_greatest * x_greatest + np.abs(b).max())
    count, last = 0, -1
    for f in range(k):
        if is_free[f]:
            is_infeasible[f] = x[f] < -x_floor
        else:
            y = -b[f]
            for g in range(k):
                y += (a[f, g] if g <= f else a[g, f]) * x[g]
            is_infeasible[f] = y < -y_floor
        if is_infeasible[f]:
            count += 1
            last = f
    return count, last
