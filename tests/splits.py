"""Splits for tests: made by hand, or from a random matrix."""

import math

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import random_rows_per_user
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.history import Observations
from tests.matrices import random_matrix


def observations_with(*users: list[tuple[int, float]]) -> Observations:
    """One list of (item, rating) per user."""
    rows = [sorted(of_user) for of_user in users]
    flat = [pair for of_user in rows for pair in of_user]
    return Observations(
        np.concatenate([[0], np.cumsum([len(of_user) for of_user in rows])]).astype(np.int64),
        np.array([item for item, _ in flat], dtype=np.int32),
        np.array([rating for _, rating in flat], dtype=np.float32),
        np.ones(len(flat), dtype=np.float32),
    )


def asked(*users: list[tuple[int, float]], n_items: int = 60, scale: RatingScale | None = None) -> Split:
    """A split with nothing to train on."""
    return Split(observations_with(*([] for _ in users)), observations_with(*users), n_items, scale or RatingScale())


def random_split(n_users: int = 25, n_items: int = 60, density: float = 0.6, share: float = 0.4) -> Split:
    """Of ratings that can be learnt, some pairs without a rating among them."""
    matrix = random_matrix(n_users=n_users, n_items=n_items, density=density)
    return Split.of(matrix, random_rows_per_user(matrix.observations, share, seed=0))


def table_scores(table: NDArray[np.floating]) -> Scores:
    """Scores of a (n_users, n_items) table."""
    return Scores(lambda user, item: table[user, item], lambda users: table[users].astype(np.float32))


def items_of(observations: Observations, user: int) -> set[int]:
    """Items of one user."""
    return set(observations.item[observations.rows_of(user)].tolist())


def nothing_at(n_users: int) -> Observations:
    """No pair at all."""
    return observations_with(*([] for _ in range(n_users)))


NAN = math.nan
