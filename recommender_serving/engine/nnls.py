"""Non-negative least squares, exactly: block principal pivoting with Murty's rule as a backup."""

import numpy as np
from numpy.typing import NDArray

_FULL_EXCHANGES = 3  # exchanges of all infeasible variables that may fail to improve before the backup rule
_STEPS_PER_VARIABLE = 50  # three to six steps in all are usual
_TOLERANCE = 64 * np.finfo(np.float64).eps


def solve_nnls(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise x'Ax / 2 - b'x subject to x >= 0.

    The conditions solved for are x >= 0, y = Ax - b >= 0, x_i y_i = 0. All infeasible variables change sides at
    once; when that does not reduce their number three times, only the last one does, which cannot cycle
    (Portugal, Judice, Vicente 1994; Kim and Park 2011, "Fast nonnegative matrix factorization", algorithm 1).

    Args:
        a: (k, k) symmetric positive definite.
        b: (k,).

    Returns:
        (k,) the only solution.

    Raises:
        ArithmeticError: rounding makes the exchanges cycle, which only happens if A is close to singular.
    """
    k = len(b)
    free = np.ones(k, dtype=bool)
    fewest, exchanges_left = k + 1, _FULL_EXCHANGES
    for _ in range(_STEPS_PER_VARIABLE * (k + 1)):
        x: NDArray[np.float64] = np.zeros(k)
        if free.all():
            x[:] = np.linalg.solve(a, b)
        elif free.any():
            x[free] = np.linalg.solve(a[np.ix_(free, free)], b[free])
        y = a @ x - b
        # Rounding leaves numbers of this size where exact arithmetic has zeros; they are feasible.
        x_floor = _TOLERANCE * k * np.abs(x).max(initial=0.0)
        y_floor = (
            _TOLERANCE * k * (np.abs(a).max(initial=0.0) * np.abs(x).max(initial=0.0) + np.abs(b).max(initial=0.0))
        )
        infeasible = np.flatnonzero(np.where(free, x < -x_floor, y < -y_floor))
        if not len(infeasible):
            return np.maximum(x, 0.0)
        if len(infeasible) < fewest:
            fewest, exchanges_left = len(infeasible), _FULL_EXCHANGES
        elif exchanges_left:
            exchanges_left -= 1
        else:
            infeasible = infeasible[-1:]
        free[infeasible] = ~free[infeasible]
    raise ArithmeticError(f"no solution of {k} non-negative variables found, is the matrix positive definite?")
