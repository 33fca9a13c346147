"""Named columns of numbers, one row per user or item."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Columns of numbers.

    Attributes:
        names: one per column, unique.
        values: (n_rows, n_columns) float64, finite.
    """

    names: tuple[str, ...]
    values: Float64s

    @classmethod
    def from_columns(cls, columns: Mapping[str, Float64s]) -> "FeatureTable":
        """Join columns of one length."""
        return cls(tuple(columns), np.column_stack(list(columns.values())))

    def select(self, positions: NDArray[np.integer]) -> "FeatureTable":
        """Only the columns at these positions, in this order."""
        return FeatureTable(tuple(self.names[i] for i in positions), self.values[:, positions])


def group_sums(group: NDArray[np.integer], n_groups: int, values: NDArray[np.floating] | None = None) -> Float64s:
    """(n_groups,) sum of values by group, or the number of rows."""
    return np.bincount(group, values, minlength=n_groups).astype(np.float64)


def group_means(
    group: NDArray[np.integer],
    n_groups: int,
    values: NDArray[np.floating],
    *,
    pseudo_rows: float = 0.0,
    prior: float | Float64s = 0.0,
) -> Float64s:
    """(n_groups,) mean by group, drawn to `prior` by `pseudo_rows` rows; `prior` where there is no row at all."""
    rows = group_sums(group, n_groups) + pseudo_rows
    total = group_sums(group, n_groups, values) + pseudo_rows * np.asarray(prior)
    return np.divide(total, rows, out=np.zeros(n_groups) + prior, where=rows > 0)
