"""Which feature columns are worth keeping: scaled, without near copies, by mutual information with ratings."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.feature_columns import FeatureTable, Float64s

_BINS = 16


def scaled(table: FeatureTable) -> FeatureTable:
    """Min-max scaling of every column to 0..1; a constant column becomes 0."""
    low, high = table.values.min(axis=0), table.values.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    return FeatureTable(table.names, (table.values - low) / span)


def uncorrelated_columns(table: FeatureTable, limit: float) -> NDArray[np.int64]:
    """Positions of the columns that vary and have |correlation| <= limit with every earlier kept column."""
    centred = table.values - table.values.mean(axis=0)
    length = np.sqrt(np.square(centred).sum(axis=0))
    varies = length > 1e-12 * np.sqrt(len(centred))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=varies)
    correlation = np.abs(unit.T @ unit)
    kept: list[int] = []
    for position in np.flatnonzero(varies):
        if not kept or correlation[position, kept].max() <= limit:
            kept.append(int(position))
    return np.array(kept, dtype=np.int64)


def mutual_information(table: FeatureTable, row: NDArray[np.integer], rating: NDArray[np.floating]) -> Float64s:
    """Mutual information, in nats, of every column with the ratings given by (or to) its rows.

    Columns are cut into at most 16 bins of about equally many ratings; plug-in estimate minus its bias
    (cells - margins) / 2n (Miller 1955), not below 0.

    Args:
        table: (n_rows, n_columns).
        row: (n,) row of the table that each rating belongs to.
        rating: (n,).

    Returns:
        (n_columns,).
    """
    _, of_rating = np.unique(rating, return_inverse=True)
    return np.array([_information(_binned(column, row), of_rating) for column in table.values.T])


def _binned(column: Float64s, row: NDArray[np.integer]) -> NDArray[np.int64]:
    weight = np.bincount(row, minlength=len(column))
    order = np.argsort(column, kind="stable")
    reached = np.cumsum(weight[order])
    targets = np.arange(1, _BINS) * (reached[-1] / _BINS)
    edges = np.unique(column[order][np.minimum(np.searchsorted(reached, targets), len(order) - 1)])
    return np.asarray(np.searchsorted(edges, column, side="right")[row])


def _information(left: NDArray[np.integer], right: NDArray[np.integer]) -> float:
    n_left, n_right = int(left.max(initial=0)) + 1, int(right.max(initial=0)) + 1
    joint = np.bincount(left * n_right + right, minlength=n_left * n_right).reshape(n_left, n_right).astype(np.float64)
    n = joint.sum()
    if not n:
        return 0.0
    of_left, of_right = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    information = float(np.sum(joint[filled] * np.log((joint * n)[filled] / (of_left * of_right)[filled])) / n)
    bias = ((of_left > 0).sum() - 1) * ((of_right > 0).sum() - 1) / (2 * n)
    return max(0.0, information - float(bias))
