"""Compiled exact least squares, one problem per row: the twin of `engine/fold_in.py` and `engine/nnls.py`.

Arithmetic is float64. The result of a row depends on that row alone, so any division of the rows gives the same.
Long vectors are found by conjugate gradients, with an error below the rounding of single precision; short and
non-negative ones, and what does not converge quickly, by Cholesky.
The normal equations are kept as the upper triangle of [A | b], so that every inner loop runs along a row.
"""
# ruff: noqa: PLR0917 (compiled functions take positional arguments only)

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.compilation import kernel, writable
from recommender_assets.training.conjugate_gradients import solve_by_conjugate_gradients
from recommender_assets.training.parallel import map_blocks
from recommender_assets.training.rows import Rows

Float64s = NDArray[np.float64]

_BLOCK = 8  # observations that are added at once, to save memory traffic
_GROUP = 4  # rows that are eliminated together
_FULL_EXCHANGES, _STEPS_PER_VARIABLE = 3, 50  # as in `engine/nnls.py`
_FEWEST_FOR_GRADIENTS = 48  # factors; with fewer, the normal equations are quicker
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

    Raises:
        ArithmeticError: a row has no finite solution, or rounding makes the exchanges of `non_negative` cycle.
    """
    k = factors.shape[1]
    solutions = np.empty((rows.n_rows, k))
    solved = np.zeros(rows.n_rows, dtype=np.bool_)
    if not non_negative and k >= _FEWEST_FOR_GRADIENTS:
        solved = solve_by_conjugate_gradients(rows, factors, penalty, np.atleast_2d(prior), gram, solutions)
    arguments = (
        *rows.arrays(),
        writable(factors),
        penalty,
        np.atleast_2d(prior),
        np.zeros((k, k)) if gram is None else writable(gram),
        non_negative,
        solved,
        solutions,
    )
    if not solved.all():
        map_blocks(rows.indptr, lambda start, end: _solve_rows(start, end, *arguments))
    if not np.isfinite(solutions).all():
        row = int(np.flatnonzero(~np.isfinite(solutions).all(axis=1))[0])
        raise ArithmeticError(
            f"no solution for row {row} of {rows.n_rows}: are all factors, targets and weights finite?"
        )
    return solutions


@kernel
def _solve_rows(
    start: int,
    end: int,
    indptr: NDArray[np.int64],
    column: NDArray[np.int32],
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
    factors: NDArray[np.float32],
    penalty: Float64s,
    prior: Float64s,
    gram: Float64s,
    non_negative: bool,  # noqa: FBT001
    solved: NDArray[np.bool_],
    solutions: Float64s,
) -> None:
    """Solve the rows that are not `solved` yet."""
    k = factors.shape[1]
    system = np.empty((k, k + 1))
    work = np.empty((k, k + 1))
    block = np.empty((_BLOCK, k + 1))
    scaled = np.empty((_BLOCK, k + 1))
    is_free = np.empty(k, dtype=np.bool_)
    is_infeasible = np.empty(k, dtype=np.bool_)
    for row in range(start, end):
        if solved[row]:
            continue
        of_row = prior[min(row, prior.shape[0] - 1)]
        for f in range(k):
            system[f, :k] = gram[f]
            system[f, f] += penalty[f]
            system[f, k] = penalty[f] * of_row[f]
        for first in range(indptr[row], indptr[row + 1], _BLOCK):
            for j in range(_BLOCK):
                entry = first + j
                if entry < indptr[row + 1]:
                    block[j, :k] = factors[column[entry]]
                    block[j, k] = target[entry]
                    scaled[j] = block[j] * np.float64(weight[entry])
                else:
                    block[j] = 0.0
                    scaled[j] = 0.0
            _add_block(system, scaled, block)
        x = solutions[row]
        work[:] = system
        _solve(work, k, x)
        if non_negative:
            _make_non_negative(system, is_free, is_infeasible, work, x)


@kernel
def _add_block(system: Float64s, scaled: Float64s, block: Float64s) -> None:
    """Add, to the upper triangle, the sum over j of scaled[j]' block[j]; slices let the inner loop be vectorised."""
    for f in range(system.shape[0]):
        row = system[f, f:]
        c0, c1, c2, c3 = scaled[0, f], scaled[1, f], scaled[2, f], scaled[3, f]
        c4, c5, c6, c7 = scaled[4, f], scaled[5, f], scaled[6, f], scaled[7, f]
        b0, b1, b2, b3 = block[0, f:], block[1, f:], block[2, f:], block[3, f:]
        b4, b5, b6, b7 = block[4, f:], block[5, f:], block[6, f:], block[7, f:]
        for g in range(row.size):
            row[g] += (
                c0 * b0[g] + c1 * b1[g] + c2 * b2[g] + c3 * b3[g] + c4 * b4[g] + c5 * b5[g] + c6 * b6[g] + c7 * b7[g]
            )


@kernel
def _solve(work: Float64s, n: int, x: Float64s) -> None:
    """Solve the n equations in the upper triangle of work[:n, : n + 1] = [A | b] by Cholesky, which destroys them.

    Rows are eliminated in groups, and every group is taken from all later rows at once.
    """
    for start in range(0, n, _GROUP):
        end = min(start + _GROUP, n)
        for p in range(start, end):
            pivot_row = work[p, p : n + 1]
            scale = 1.0 / np.sqrt(pivot_row[0])
            for g in range(pivot_row.size):
                pivot_row[g] *= scale
            for i in range(p + 1, end):
                row, tail, c = work[i, i : n + 1], work[p, i : n + 1], work[p, i]
                for g in range(row.size):
                    row[g] -= c * tail[g]
        for i in range(end, n):  # empty after a group that is not full
            row = work[i, i : n + 1]
            r0, r1, r2, r3 = (
                work[start, i : n + 1],
                work[start + 1, i : n + 1],
                work[start + 2, i : n + 1],
                work[start + 3, i : n + 1],
            )
            c0, c1, c2, c3 = r0[0], r1[0], r2[0], r3[0]
            for g in range(row.size):
                row[g] -= c0 * r0[g] + c1 * r1[g] + c2 * r2[g] + c3 * r3[g]
    for p in range(n - 1, -1, -1):
        row, known = work[p, p + 1 : n], x[p + 1 : n]
        rest = work[p, n]
        for g in range(row.size):
            rest -= row[g] * known[g]
        x[p] = rest / work[p, p]


@kernel
def _solve_free(system: Float64s, is_free: NDArray[np.bool_], work: Float64s, x: Float64s) -> None:
    """Solve A x = b on the free coordinates, with x = 0 on the others."""
    k = x.size
    free = np.flatnonzero(is_free)
    n = free.size
    for p in range(n):
        row = system[free[p]]
        for q in range(p, n):
            work[p, q] = row[free[q]]
        work[p, n] = row[k]
    compact = np.empty(n)
    _solve(work, n, compact)
    x[:] = 0.0
    x[free] = compact


@kernel
def _make_non_negative(
    system: Float64s, is_free: NDArray[np.bool_], is_infeasible: NDArray[np.bool_], work: Float64s, x: Float64s
) -> None:
    """Block principal pivoting from the unconstrained solution x, rule by rule as in `engine/nnls.py`."""
    fewest, exchanges_left = x.size + 1, _FULL_EXCHANGES
    is_free[:] = True
    for _ in range(_STEPS_PER_VARIABLE * (x.size + 1)):
        count, last = _mark_infeasible(system, is_free, is_infeasible, x)
        if count == 0:
            for f in range(x.size):
                x[f] = max(x[f], 0.0)
            return
        if count < fewest:
            fewest, exchanges_left = count, _FULL_EXCHANGES
        elif exchanges_left > 0:
            exchanges_left -= 1
        else:
            is_infeasible[:] = False
            is_infeasible[last] = True
        for f in range(x.size):
            is_free[f] ^= is_infeasible[f]
        _solve_free(system, is_free, work, x)
    x[:] = np.nan


@kernel
def _mark_infeasible(
    system: Float64s, is_free: NDArray[np.bool_], is_infeasible: NDArray[np.bool_], x: Float64s
) -> tuple[int, int]:
    """Mark free coordinates with x < 0 and bound ones with (Ax - b) < 0; their number and the last of them."""
    k = x.size
    x_greatest, b_greatest, a_greatest = np.abs(x).max(), np.abs(system[:, k]).max(), 0.0
    y = -system[:, k]
    for f in range(k):
        a_greatest = max(
            a_greatest, system[f, f]
        )  # the greatest entry of a positive definite matrix is on its diagonal
        y[f] += system[f, f] * x[f]
        row, others, slopes = system[f, f + 1 : k], x[f + 1 :], y[f + 1 :]
        total = 0.0
        for g in range(row.size):
            total += row[g] * others[g]
            slopes[g] += row[g] * x[f]
        y[f] += total
    x_floor = _TOLERANCE * k * x_greatest
    y_floor = _TOLERANCE * k * (a_greatest * x_greatest + b_greatest)
    count, last = 0, -1
    for f in range(k):
        is_infeasible[f] = x[f] < -x_floor if is_free[f] else y[f] < -y_floor
        if is_infeasible[f]:
            count += 1
            last = f
    return count, last
