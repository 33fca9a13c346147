"""What is evaluated: scores of pairs and of the whole catalogue."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PairScores = Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.floating]]
"""Score of each (user, item) pair, two aligned index arrays."""
BlockScores = Callable[[slice], NDArray[np.float32]]
"""(users, n_items) scores of a range of users, -inf for items that can not be listed; the array may be overwritten."""


@dataclass(frozen=True, eq=False)
class Scores:
    """What the measures need of a model or of a floor.

    Attributes:
        predicted_ratings: of pairs; orders them and, where stars are predicted, estimates them.
        catalogue_scores: of all items; orders the catalogue.
    """

    predicted_ratings: PairScores
    catalogue_scores: BlockScores
