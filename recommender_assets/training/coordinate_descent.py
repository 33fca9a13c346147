"""Compiled coordinate descent on sparse rows: cheap, inexact steps for the iterations of a factorisation.

Each coordinate of a row gets its exact minimum with the others fixed, so the loss never rises, and a non-negative
coordinate is just cut off at zero (Bayer et al. 2017, "A generic coordinate descent framework"; iALS++ with blocks of
one, Rendle et al. 2021). The last user step is solved exactly, see `user_step`.
"""
# ruff: noqa: PLR0917 (compiled functions take positional arguments only)

import numpy as np
from numpy.typing import NDArray

from recommender_assets.training.compilation import kernel
from recommender_assets.training.parallel import map_blocks
from recommender_assets.training.rows import Rows
from recommender_assets.training.vectors import dot

Float32s = NDArray[np.float32]


def improve_rows(
    rows: Rows,
    factors: Float32s,
    solutions: Float32s,
    penalty: float,
    prior: Float32s,
    *,
    gram: Float32s | None = None,
    non_negative: bool = False,
    sweeps: int = 1,
) -> float:
    """Lower, in place, the loss of `exact_solver.solve_rows` with one penalty for all coordinates.

    Args:
        rows: n_rows problems; `column` refers to rows of `factors`.
        factors: (n_columns, k).
        solutions: (n_rows, k), where the descent starts and ends.
        penalty: greater than 0.
        prior: (k,).
        gram: (k, k), None for zeros.
        non_negative: whether x >= 0 is required.
        sweeps: how often every coordinate is improved.

    Returns:
        sum w (t - x.y)^2 over all entries, with the improved vectors.
    """
    k = factors.shape[1]
    arguments = (
        *rows.arrays(),
        factors,
        solutions,
        np.float32(penalty),
        prior,
        np.zeros((k, k), dtype=np.float32) if gram is None else gram,
        gram is not None,
        non_negative,
        sweeps,
    )
    return sum(map_blocks(rows.indptr, lambda start, end: _improve_rows(start, end, *arguments)))


def gram_of(factors: Float32s) -> Float32s:
    """(k, k) Y'Y of (n, k) factors Y, summed in float64; unlike BLAS, alike at any number of threads."""
    total = np.zeros((factors.shape[1], factors.shape[1]))
    _add_outer_products(factors, total)
    return (total + np.tril(total, -1).T).astype(np.float32)


@kernel
def _add_outer_products(factors: Float32s, total: NDArray[np.float64]) -> None:
    """Add Y'Y to the lower triangle of `total`, four rows at a time to save memory traffic."""
    n, k = factors.shape
    block = np.zeros((4, k))
    for start in range(0, n, 4):
        rows = min(4, n - start)
        block[:rows] = factors[start : start + rows]
        block[rows:] = 0.0
        for f in range(k):
            for g in range(f + 1):
                total[f, g] += (
                    block[0, f] * block[0, g]
                    + block[1, f] * block[1, g]
                    + block[2, f] * block[2, g]
                    + block[3, f] * block[3, g]
                )


@kernel
def _improve_rows(
    start: int,
    end: int,
    indptr: NDArray[np.int64],
    column: NDArray[np.int32],
    target: Float32s,
    weight: Float32s,
    factors: Float32s,
    solutions: Float32s,
    penalty: np.float32,
    prior: Float32s,
    gram: Float32s,
    has_gram: bool,  # noqa: FBT001
    non_negative: bool,  # noqa: FBT001
    sweeps: int,
) -> float:
    k = factors.shape[1]
    squares = 0.0
    longest = 0
    for row in range(start, end):
        longest = max(longest, indptr[row + 1] - indptr[row])
    by_factor = np.empty((k, longest), dtype=np.float32)  # transposed, so that the inner loops are contiguous
    residual = np.empty(longest, dtype=np.float32)
    for row in range(start, end):
        entries = slice(indptr[row], indptr[row + 1])
        x = solutions[row]
        _gather(factors, column[entries], target[entries], x, by_factor, residual)
        for _ in range(sweeps):
            for f in range(k):
                slope = penalty * (prior[f] - x[f])
                curvature = penalty
                if has_gram:
                    slope -= dot(gram[f], x)
                    curvature += gram[f, f]
                _improve_coordinate(f, x, weight[entries], by_factor[f], residual, slope, curvature, non_negative)
        for j in range(indptr[row + 1] - indptr[row]):
            squares += weight[indptr[row] + j] * residual[j] * residual[j]
    return squares


@kernel
def _gather(
    factors: Float32s,
    column: NDArray[np.int32],
    target: Float32s,
    x: Float32s,
    by_factor: Float32s,
    residual: Float32s,
) -> None:
    for j in range(column.size):
        y = factors[column[j]]
        predicted = np.float32(0.0)
        for f in range(x.size):
            by_factor[f, j] = y[f]
            predicted += y[f] * x[f]
        residual[j] = target[j] - predicted


@kernel
def _improve_coordinate(
    f: int,
    x: Float32s,
    weight: Float32s,
    factor: Float32s,
    residual: Float32s,
    slope: np.float32,
    curvature: np.float32,
    non_negative: bool,  # noqa: FBT001
) -> None:
    for j in range(weight.size):
        weighted = weight[j] * factor[j]
        slope += weighted * residual[j]
        curvature += weighted * factor[j]
    step = slope / curvature
    if non_negative and x[f] + step < np.float32(0.0):
        step = -x[f]
    x[f] += step
    for j in range(weight.size):
        residual[j] -= step * factor[j]
