"""Compiled ridge regressions, one per row, by preconditioned conjugate gradients in float64.

A step costs 4 n k operations for a row of n entries and k factors, the normal equations n k^2 before they are even
factorised, and some ten steps are enough, because the rows are solved in a basis of their own: there the penalty is the
identity, so that the residual bounds the error, and the items' Gram matrix is diagonal, so that the diagonal of a row's
system is a good preconditioner (Golub and Van Loan 2013, "Matrix computations", sections 8.7.2 and 11.5).
"""
# ruff: noqa: PLR0917 (compiled functions take positional arguments only)

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recommender_assets.training.compilation import kernel, writable
from recommender_assets.training.parallel import map_blocks
from recommender_assets.training.rows import Rows

Float64s = NDArray[np.float64]

_TOLERANCE = 1e-8  # greatest error of a solution, relative to its length, in the basis of the solver
_GREATEST_TRACE = 1e6  # of a row's system: rounding then stays below the tolerance
_FACTORS_PER_STEP = 4  # as many factors as make one more step cheaper than the normal equations
_GROUP = 8  # entries that are read at once, to save memory traffic
_LANES = 8  # vectors are padded to a multiple of it


def solve_by_conjugate_gradients(
    rows: Rows,
    factors: NDArray[np.float32],
    penalty: Float64s,
    prior: Float64s,
    gram: Float64s | None,
    solutions: Float64s,
) -> NDArray[np.bool_]:
    """Solve what `exact_solver.solve_rows` solves without `non_negative`, where that is quick.

    Args:
        rows: n_rows problems; `column` refers to rows of `factors`.
        factors: (n_columns, k).
        penalty: (k,) greater than 0.
        prior: (1, k) for all rows, or (n_rows, k).
        gram: (k, k), None for zeros.
        solutions: (n_rows, k), where the solutions are written.

    Returns:
        (n_rows,) whether the row was solved; not so are rows that need too many steps, that are too ill-conditioned
        for a residual to tell the error, or that are not finite.
    """
    solved = np.zeros(rows.n_rows, dtype=np.bool_)
    basis = _basis(factors, penalty, gram)
    if basis is None:
        return solved
    from_basis, in_basis = basis
    arguments = (*rows.arrays(), in_basis, from_basis, penalty, writable(prior), solutions, solved)
    map_blocks(rows.indptr, lambda start, end: _solve_rows(start, end, *arguments))
    return solved


def _basis(factors: NDArray[np.float32], penalty: Float64s, gram: Float64s | None) -> tuple[Float64s, Float64s] | None:
    """T (k, padded k) with T'(gram + diag(penalty))T = 1 and T'Y'YT diagonal, and the factors YT.

    None if something is not finite, or if the penalty is too small beside `gram` to be told from rounding. BLAS uses
    one thread, since its results depend on their number; the last columns, up to whole lanes, are zeros.
    """
    dense = np.diag(penalty) if gram is None else gram + np.diag(penalty)
    wide = factors.astype(np.float64)
    k = len(penalty)
    with threadpool_limits(1, "blas"):
        curvature = wide.T @ wide
        if not (np.isfinite(curvature).all() and np.isfinite(dense).all()):
            return None
        try:
            whitening = np.linalg.inv(np.linalg.cholesky(dense)).T
        except np.linalg.LinAlgError:
            return None
        basis = np.zeros((k, -(-k // _LANES) * _LANES))
        basis[:, :k] = whitening @ np.linalg.eigh(whitening.T @ curvature @ whitening)[1]
        return basis, wide @ basis


@kernel
def _solve_rows(
    start: int,
    end: int,
    indptr: NDArray[np.int64],
    column: NDArray[np.int32],
    target: NDArray[np.float32],
    weight: NDArray[np.float32],
    factors: Float64s,
    basis: Float64s,
    penalty: Float64s,
    prior: Float64s,
    solutions: Float64s,
    solved: NDArray[np.bool_],
) -> None:
    k, width = basis.shape
    most_steps = k // _FACTORS_PER_STEP
    longest = 0
    for row in range(start, end):
        longest = max(longest, indptr[row + 1] - indptr[row])
    own_factors, own_weight = np.empty((longest + _GROUP, width)), np.empty(longest + _GROUP)
    z, residual, scale = np.empty(width), np.empty(width), np.empty(width)
    for row in range(start, end):
        first, n = indptr[row], indptr[row + 1] - indptr[row]
        padded = (n + _GROUP - 1) // _GROUP * _GROUP
        own_factors[n:padded], own_weight[n:padded] = 0.0, 0.0
        _start(basis, penalty, prior[min(row, prior.shape[0] - 1)], z)
        residual[:], scale[:] = 0.0, 1.0
        for j in range(n):
            y, own, w = factors[column[first + j]], own_factors[j], np.float64(weight[first + j])
            own_weight[j] = w
            error = np.float64(target[first + j])
            for f in range(width):
                error -= z[f] * y[f]
            for f in range(width):
                own[f] = y[f]
                residual[f] += w * error * y[f]
                scale[f] += w * y[f] * y[f]
        if scale.sum() > _GREATEST_TRACE:
            continue
        for f in range(width):
            scale[f] = 1.0 / scale[f]
        solved[row] = _descend(own_factors[:padded], own_weight[:padded], scale, residual, z, most_steps)
        for f in range(k):
            to_x, total = basis[f], 0.0
            for g in range(width):
                total += to_x[g] * z[g]
            solutions[row, f] = total


@kernel
def _start(basis: Float64s, penalty: Float64s, prior: Float64s, z: Float64s) -> None:
    """Set z to basis' (penalty prior), the solution of a row without entries."""
    z[:] = 0.0
    for f in range(prior.size):
        pull, from_x = penalty[f] * prior[f], basis[f]
        if pull != 0.0:
            for g in range(z.size):
                z[g] += pull * from_x[g]


@kernel
def _descend(
    factors: Float64s, weight: Float64s, scale: Float64s, residual: Float64s, z: Float64s, most_steps: int
) -> bool:
    """Conjugate gradients for (1 + sum_j w_j y_j y_j') z = b, from a z of that residual; whether they converged."""
    direction = scale * residual
    image = np.empty(z.size)
    slope = 0.0
    for f in range(z.size):
        slope += residual[f] * direction[f]
    for step in range(most_steps + 1):
        of_residual, of_z = 0.0, 0.0
        for f in range(z.size):
            of_residual += residual[f] * residual[f]
            of_z += z[f] * z[f]
        if of_residual <= _TOLERANCE * _TOLERANCE * of_z:
            return True
        if step == most_steps:
            break
        image[:] = direction
        _add_image(factors, weight, direction, image)
        curvature = 0.0
        for f in range(z.size):
            curvature += direction[f] * image[f]
        length = slope / curvature
        last_slope, slope = slope, 0.0
        for f in range(z.size):
            z[f] += length * direction[f]
            residual[f] -= length * image[f]
            image[f] = scale[f] * residual[f]
            slope += residual[f] * image[f]
        for f in range(z.size):
            direction[f] = image[f] + slope / last_slope * direction[f]
    return False


@kernel
def _add_image(factors: Float64s, weight: Float64s, direction: Float64s, image: Float64s) -> None:
    """Add sum_j w_j (y_j.direction) y_j, a whole number of groups of entries."""
    for j in range(0, weight.size, _GROUP):
        y0, y1, y2, y3 = factors[j], factors[j + 1], factors[j + 2], factors[j + 3]
        y4, y5, y6, y7 = factors[j + 4], factors[j + 5], factors[j + 6], factors[j + 7]
        d0, d1, d2, d3, d4, d5, d6, d7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for f in range(direction.size):
            d0 += y0[f] * direction[f]
            d1 += y1[f] * direction[f]
            d2 += y2[f] * direction[f]
            d3 += y3[f] * direction[f]
            d4 += y4[f] * direction[f]
            d5 += y5[f] * direction[f]
            d6 += y6[f] * direction[f]
            d7 += y7[f] * direction[f]
        w0, w1, w2, w3 = weight[j] * d0, weight[j + 1] * d1, weight[j + 2] * d2, weight[j + 3] * d3
        w4, w5, w6, w7 = weight[j + 4] * d4, weight[j + 5] * d5, weight[j + 6] * d6, weight[j + 7] * d7
        for f in range(image.size):
            image[f] += (
                w0 * y0[f] + w1 * y1[f] + w2 * y2[f] + w3 * y3[f] + w4 * y4[f] + w5 * y5[f] + w6 * y6[f] + w7 * y7[f]
            )
