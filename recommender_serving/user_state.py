"""One user brought up to date with their events: what every list of theirs is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender_serving.answers import Source
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.history import REMOVE
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.live_events import LiveEvent, user_observations
from recommender_serving.timestamps import rfc3339

_NOTHING = np.empty(0, dtype=np.int32)


@dataclass(frozen=True, slots=True)
class UserState:
    """One user brought up to date with their events.

    Attributes:
        source: Where the vectors come from; `popular` has no ranking vector.
        ranking: (k,) float32 vector of the ranking head.
        rating: (k,) float32 vector of the rating head.
        bias: The user's bias in the rating head.
        seen: Item indices that the user has interacted with.
        unknown_items: Ids of items that the model does not know; they do not count in the vectors.
        as_of: Time (RFC 3339) of the newest event in here, or of the model if there is none since.
    """

    source: Source
    ranking: NDArray[np.float32]
    rating: NDArray[np.float32]
    bias: float
    seen: NDArray[np.int32]
    unknown_items: list[str]
    as_of: str

    def seen_in(self, space: ItemSpace) -> NDArray[np.integer]:
        """Indices of what the user has interacted with, new items among them."""
        return np.concatenate((self.seen, space.indices(self.unknown_items))) if self.unknown_items else self.seen


def stranger(model: FactorModel) -> UserState:
    """A user of whom nothing is known."""
    rating, bias = fold_in_rating(model.rating, _NOTHING, np.empty(0, dtype=np.float32))
    return UserState(
        source="popular",
        ranking=np.empty(0, dtype=np.float32),
        rating=rating.astype(np.float32),
        bias=bias,
        seen=_NOTHING,
        unknown_items=[],
        as_of=model.manifest.created_at,
    )


def trained_user(model: FactorModel, user_id: str, index: int) -> UserState | None:
    """A user of the model without events since; None if nothing of the past stands."""
    rows = model.history.rows_of(index)
    seen = model.history.item[rows]
    if len(seen) and (model.history.event_type[rows] == REMOVE).any():
        seen = user_observations(model, (), user_id).items
    elif len(seen):
        first_of_item = np.ones(len(seen), dtype=bool)
        np.not_equal(seen[1:], seen[:-1], out=first_of_item[1:])
        seen = seen[first_of_item]
    if not len(seen):
        return None
    return UserState(
        source="personalized",
        ranking=model.ranking.user_factors[index],
        rating=model.rating.user_factors[index],
        bias=float(model.rating.user_bias[index]),
        seen=seen,
        unknown_items=[],
        as_of=model.manifest.created_at,
    )


def folded_in_user(model: FactorModel, user_id: str, live: Sequence[LiveEvent], nobody: UserState) -> UserState:
    """A user with events since the model.

    Args:
        model: Knows the past.
        user_id: Any id.
        live: Events since, at least one.
        nobody: The model's `stranger`.
    """
    observed = user_observations(model, live, user_id)
    seen = observed.items
    ranking, rating, bias = nobody.ranking, nobody.rating, nobody.bias
    if len(seen):
        ranking = fold_in_ranking(model.ranking, seen, observed.strengths).astype(np.float32)
        solved_rating, bias = fold_in_rating(model.rating, seen, observed.ratings)
        rating = solved_rating.astype(np.float32)
    return UserState(
        source="folded_in" if len(seen) else "popular",
        ranking=ranking,
        rating=rating,
        bias=bias,
        seen=seen,
        unknown_items=observed.unknown_items,
        as_of=rfc3339(max(event.timestamp_us for event, _, _ in live)),
    )
