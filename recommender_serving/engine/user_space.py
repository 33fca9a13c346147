"""What a ranking head's users look like together: all that solving a new item needs to know of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.history import REMOVE

_BLOCK_ROWS = 4_096  # small steps: a service computes this beside its event loop
_SAMPLED_PAIRS = 65_536


class UserSpace(NamedTuple):
    """Moments of the users' vectors x in the ranking head.

    Attributes:
        n_users: How many there are.
        gram: (k, k) float64 sum of x x'.
        mean: (k,) float64 mean of x.
        typical_score: Mean score of pairs that have interacted, of a sample of the model's past; 0 without any.
    """

    n_users: int
    gram: NDArray[np.float64]
    mean: NDArray[np.float64]
    typical_score: float

    def deviations(self, item_factors: NDArray[np.floating]) -> NDArray[np.float32]:
        """(m,) standard deviation over the users of the scores of items (m, k)."""
        covariance = self.gram / max(self.n_users, 1) - np.outer(self.mean, self.mean)
        variances = np.einsum("if,if->i", item_factors @ covariance, item_factors)
        return np.asarray(np.sqrt(np.maximum(variances, 0.0)), dtype=np.float32)


def user_space(model: FactorModel) -> UserSpace:
    """The moments of a model's users."""
    factors = model.ranking.user_factors
    n, k = factors.shape
    gram, total = np.zeros((k, k)), np.zeros(k)
    for start in range(0, n, _BLOCK_ROWS):
        block = factors[start : start + _BLOCK_ROWS].astype(np.float64)
        gram += block.T @ block
        total += block.sum(axis=0)
    return UserSpace(n, gram, total / max(n, 1), _typical_score(model))


def _typical_score(model: FactorModel) -> float:
    history = model.history
    rows = np.linspace(0, len(history.item) - 1, min(_SAMPLED_PAIRS, len(history.item))).astype(np.int64)
    rows = rows[history.event_type[rows] != REMOVE]
    if not len(rows):
        return 0.0
    users = np.searchsorted(history.indptr, rows, side="right") - 1
    head = model.ranking
    scores = np.einsum("if,if->i", head.user_factors[users], head.item_factors[history.item[rows]])
    return float(scores.mean(dtype=np.float64))
