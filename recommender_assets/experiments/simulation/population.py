"""Whom simulated visitors are drawn from: the users of the models' own data, with ratings outside every training."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.experiments.click_simulator import Visitor, draw_visitor
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.training.hold_out import hold_out_mask


@dataclass(frozen=True)
class ModelUser:
    """A real user's ratings by item: those that models may know, and those in the hold-out."""

    known: Mapping[str, float]
    held_out: Mapping[str, float]


@dataclass(frozen=True)
class Population:
    """Real users, each drawn equally often.

    Attributes:
        users: those with a rating of both kinds.
    """

    users: tuple[ModelUser, ...]

    def draw(self, generator: np.random.Generator) -> Visitor:
        """An independent draw: a user, and which of their ratings they tell."""
        user = self.users[int(generator.integers(len(self.users)))]
        return draw_visitor(user.known, user.held_out, generator)

    @property
    def description(self) -> str:
        """Of whom the inference speaks."""
        return (
            f"independent draws of the preferences of {len(self.users)} real users: each visitor tells the service up "
            "to 20 of a user's ratings and clicks, by a click model with position bias, what that user is known to "
            "like from ratings that no model was trained on"
        )


def population_of(matrix: UserItemMatrix, hold_out_share: float) -> Population:
    """The users of a matrix that have ratings inside and outside the hold-out.

    Raises:
        ValueError: there is no such user.
    """
    held_out = hold_out_mask(matrix, hold_out_share)
    rated = ~np.isnan(matrix.observations.rating)
    user_of_row = matrix.observations.user_of_row()
    known = _ratings_by_user(matrix, user_of_row, rated & ~held_out)
    kept = _ratings_by_user(matrix, user_of_row, rated & held_out)
    users = tuple(ModelUser(known[user], kept[user]) for user in sorted(known.keys() & kept.keys()))
    if not users:
        raise ValueError("no user has ratings both inside and outside the hold-out: there is nobody to simulate")
    return Population(users)


def _ratings_by_user(
    matrix: UserItemMatrix, user_of_row: NDArray[np.integer], rows: NDArray[np.bool_]
) -> dict[int, dict[str, float]]:
    item, rating = matrix.observations.item[rows], matrix.observations.rating[rows]
    names = matrix.item_ids
    found: dict[int, dict[str, float]] = {}
    for user, item_index, stars in zip(user_of_row[rows].tolist(), item.tolist(), rating.tolist(), strict=True):
        found.setdefault(user, {})[names[item_index]] = stars
    return found
