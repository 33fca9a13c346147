"""How much of the ratings the reduced features explain: published beside the reconstruction, which is no prediction."""

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.matrix import UserItemMatrix

_PENALTY = 1.0


def rating_r2(
    matrix: UserItemMatrix,
    held_out: NDArray[np.bool_],
    user_features: NDArray[np.float32],
    item_features: NDArray[np.float32],
) -> float:
    """R2 on held-out ratings of a ridge regression on the features of user and item and their products.

    1 - sum of squared errors / sum of squared deviations from the mean of the other ratings; NaN if either part has no
    rating or the held-out ones are all that mean.

    Args:
        matrix: the ratings.
        held_out: (n,) true for the observations of the hold-out; the features must not know their ratings.
        user_features: (n_users, p).
        item_features: (n_items, q).
    """
    observations = matrix.observations
    rated = ~np.isnan(observations.rating)
    user, item = observations.user_of_row(), observations.item
    users, items = _standardised(user_features), _standardised(item_features)
    width = min(users.shape[1], items.shape[1])

    def design(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        of_user, of_item = users[user[rows]], items[item[rows]]
        products = of_user[:, :width] * of_item[:, :width]
        return np.column_stack([np.ones(len(rows)), of_user, of_item, products])

    known, asked = np.flatnonzero(rated & ~held_out), np.flatnonzero(rated & held_out)
    if not len(known) or not len(asked):
        return float("nan")
    mean = observations.rating[known].mean(dtype=np.float64)
    columns = design(known)
    penalty = _PENALTY * np.eye(columns.shape[1])
    weights = np.linalg.solve(columns.T @ columns + penalty, columns.T @ (observations.rating[known] - mean))
    deviation = observations.rating[asked] - mean
    error = deviation - design(asked) @ weights
    total = float(np.square(deviation).sum())
    return 1.0 - float(np.square(error).sum()) / total if total > 0 else float("nan")


def _standardised(features: NDArray[np.float32]) -> NDArray[np.float64]:
    values = features.astype(np.float64)
    deviation = values.std(axis=0)
    return np.asarray(
        np.divide(values - values.mean(axis=0), deviation, out=np.zeros_like(values), where=deviation > 0)
    )
