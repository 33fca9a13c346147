"""Sparse rows of a weighted least-squares problem: what one side of the factorisation is fitted to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommender_assets.training.compilation import writable
from recommender_serving.engine.history import Observations


@dataclass(frozen=True, eq=False)
class Rows:
    """CSR rows, sorted by column within a row.

    Attributes:
        indptr: (n_rows + 1,) int64.
        column: (n,) int32.
        target: (n,) float32, what the product of the two vectors should be.
        weight: (n,) float32, not negative.
    """

    indptr: NDArray[np.int64]
    column: NDArray[np.int32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]

    @property
    def n_rows(self) -> int:
        """Number of rows, empty ones included."""
        return len(self.indptr) - 1

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """`indptr`, `column`, `target` and `weight`, as kernels take them."""
        return writable(self.indptr), writable(self.column), writable(self.target), writable(self.weight)

    def row_of_entry(self) -> NDArray[np.int32]:
        """(n,) int32 row index of every entry."""
        return np.repeat(np.arange(self.n_rows, dtype=np.int32), np.diff(self.indptr))

    def transposed(self, n_columns: int) -> "Rows":
        """The same entries by column."""
        entry = np.arange(len(self.column))
        by_column = csr_matrix((entry, self.column, self.indptr), shape=(self.n_rows, n_columns)).tocsc()
        order = by_column.data
        return Rows(
            indptr=by_column.indptr.astype(np.int64),
            column=self.row_of_entry()[order],
            target=self.target[order],
            weight=self.weight[order],
        )


def rating_rows(observations: Observations) -> Rows:
    """The rated pairs by user: target = rating, weight 1."""
    rated = observations.select(~np.isnan(observations.rating))
    return Rows(rated.indptr, rated.item, rated.rating, np.ones(len(rated.item), dtype=np.float32))


def strength_rows(observations: Observations) -> Rows:
    """All pairs by user: target 1, weight = strength."""
    ones = np.ones(len(observations.item), dtype=np.float32)
    return Rows(observations.indptr, observations.item, ones, observations.strength)
