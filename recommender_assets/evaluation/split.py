"""Observations divided into a training and a test part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.features.matrix import UserItemMatrix
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.history import Observations

LIKED_FROM = 4.0  # stars
_LOWEST_STARS, _MOST_STARS = 1.0, 5.0


@dataclass(frozen=True, eq=False)
class Split:
    """What users are known by, and what is asked about them.

    Attributes:
        training: pairs that may be learnt from; items in here are not listed for their user.
        test: pairs that are held out, same users, no pair of `training` among them.
        n_items: size of the catalogue.
        scale: of the ratings.
    """

    training: Observations
    test: Observations
    n_items: int
    scale: RatingScale

    @classmethod
    def of(cls, matrix: UserItemMatrix, held_out: NDArray[np.bool_]) -> "Split":
        """Divide a matrix; `held_out` (n,) is true for the test part."""
        observations = matrix.observations
        return cls(observations.select(~held_out), observations.select(held_out), matrix.n_items, matrix.scale)

    @property
    def rated_test(self) -> Observations:
        """The held-out pairs with a rating."""
        return self.test.select(~np.isnan(self.test.rating))

    def stars(self, rating: NDArray[np.floating]) -> NDArray[np.float64]:
        """Ratings in stars: as they are on a scale inside 0..5, else spread over 1..5. NaN stays NaN."""
        stars: NDArray[np.float64] = rating.astype(np.float64)
        if self.scale.min >= 0 and self.scale.max <= _MOST_STARS:
            return stars
        share = (stars - self.scale.min) / (self.scale.max - self.scale.min)
        return np.asarray(_LOWEST_STARS + (_MOST_STARS - _LOWEST_STARS) * share)
