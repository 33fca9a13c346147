"""Compiles all training kernels once, so that the first real training does not wait for the compiler."""

import numpy as np

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.heads import fit_heads, with_users_of
from recommender_serving.engine.history import Observations


def warm_up() -> None:
    """Train both algorithms on two users and two items; the compiled code stays in the cache beside the source.

    The vectors of `svd` are long enough for conjugate gradients, those of `nmf` take the way over Cholesky.
    """
    observations = Observations(
        indptr=np.array([0, 2, 3], dtype=np.int64),
        item=np.array([0, 1, 0], dtype=np.int32),
        rating=np.array([4.0, 3.0, 5.0], dtype=np.float32),
        strength=np.ones(3, dtype=np.float32),
    )
    for settings in (
        SvdSettings(factors=64, epochs=1, ranking_iterations=1),
        NmfSettings(factors=2, iterations=1, ranking_iterations=1),
    ):
        with_users_of(fit_heads(observations, 2, settings, seed=0), observations)


if __name__ == "__main__":
    warm_up()
