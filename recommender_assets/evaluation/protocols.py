"""The protocols by name: how the test part is chosen, and what is measured on it.

Numbers of different protocols do not compare. `rating`, `rerank` and `catalogue` can also be measured on any other
split, as the product does on its hold-out, see `evaluation.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation import splits
from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.measures.leave_one_out import LEAVE_ONE_OUT
from recommender_assets.evaluation.measures.measure import Measure
from recommender_assets.evaluation.measures.rating import RATING
from recommender_assets.evaluation.measures.rerank import RERANK
from recommender_assets.evaluation.split import Split
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.pair_times import pair_times

_TEST_SHARE = 0.2
_GORSE_TEST_SHARE = 0.1

Chooser = Callable[[UserItemMatrix, int], NDArray[np.bool_]]
"""Test part of a matrix for a seed."""


@dataclass(frozen=True)
class Protocol:
    """A way to evaluate.

    Attributes:
        name: in figures and tables.
        split: in words.
        choose: the test part.
        measures: what is measured on it.
    """

    name: str
    split: str
    choose: Chooser
    measures: tuple[Measure, ...]

    def divide(self, matrix: UserItemMatrix, seed: int) -> Split:
        """Training and test part of a matrix. Splits in time do not depend on the seed.

        Raises:
            NoOrderInTimeError: the protocol needs time stamps and all are the same.
        """
        return Split.of(matrix, self.choose(matrix, seed))


def _random_rows(share: float) -> Chooser:
    return lambda matrix, seed: splits.random_rows(len(matrix.observations.item), share, seed)


def _random_rows_per_user(matrix: UserItemMatrix, seed: int) -> NDArray[np.bool_]:
    return splits.random_rows_per_user(matrix.observations, _TEST_SHARE, seed)


def _latest_rows_per_user(matrix: UserItemMatrix, _: int) -> NDArray[np.bool_]:
    time = pair_times(matrix)
    splits.latest_rows(time, _TEST_SHARE)  # refuses data without an order in time
    return splits.latest_rows_per_user(matrix.observations, time, _TEST_SHARE)


def _latest_rows(matrix: UserItemMatrix, _: int) -> NDArray[np.bool_]:
    return splits.latest_rows(pair_times(matrix), _TEST_SHARE)


def _one_row_per_user(matrix: UserItemMatrix, seed: int) -> NDArray[np.bool_]:
    return splits.one_row_per_user(matrix.observations, seed)


MEASURES: dict[str, Measure] = {measure.name: measure for measure in (RATING, RERANK, CATALOGUE, LEAVE_ONE_OUT)}
"""What can be measured on any split."""

_EVERYTHING = (RATING, RERANK, CATALOGUE)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("rating", "random 20 % of all rows", _random_rows(_TEST_SHARE), (RATING,)),
        Protocol("rerank", "random 20 % of each user's rows", _random_rows_per_user, (RERANK,)),
        Protocol("catalogue", "random 20 % of each user's rows", _random_rows_per_user, (CATALOGUE,)),
        Protocol("temporal", "latest 20 % of each user's rows", _latest_rows_per_user, _EVERYTHING),
        Protocol("temporal_global", "latest 20 % of all rows", _latest_rows, _EVERYTHING),
        Protocol("leave_one_out", "one random row of each user", _one_row_per_user, (LEAVE_ONE_OUT,)),
        Protocol("gorse", "random 10 % of all rows", _random_rows(_GORSE_TEST_SHARE), (CATALOGUE,)),
    )
}
