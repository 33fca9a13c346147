"""The items of a model as they stand now: its own, and those that came since, as far as users interacted with them."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.item_rules import Selector
from recommender_serving.engine.item_space import ItemSpace, NewItems, no_new_items
from recommender_serving.engine.new_item_solution import solve_ranking_item, solve_rating_item
from recommender_serving.engine.user_space import UserSpace

_MOST_ITEMS = 1_000  # new items; the one that nobody has interacted with for longest goes first
_MOST_USERS = 256  # of one new item, the latest
_SOLVED_AT_ONCE = 100  # items in one refresh; further ones wait for the next


class Interest(NamedTuple):
    """What one user has to do with one new item.

    Attributes:
        strength: Of the interaction.
        stars: The rating, NaN without.
        ranking: (k,) the user's vector in the ranking head; None for a user without one, who is only counted.
        rating: (k,) vector in the rating head.
        bias: Of the user in the rating head.
    """

    strength: float
    stars: float
    ranking: NDArray[np.float32] | None
    rating: NDArray[np.float32]
    bias: float


class _Solved(NamedTuple):
    """A row of `NewItems`."""

    ranking: NDArray[np.float32]
    rating: NDArray[np.float32]
    bias: float
    users: int


class LiveCatalogue:
    """All items of one model, and new ones; refreshed by `note` for each changed user, then `solve`.

    Args:
        model: The model in service.
        users: Its users in the ranking head.

    Attributes:
        space: The items; replaced as a whole, never changed.
        generation: Grows with every new `space`.
    """

    def __init__(self, model: FactorModel, users: UserSpace) -> None:
        self._model = model
        self._users = users
        self._interests: dict[str, dict[str, Interest]] = {}  # item -> user -> interest, the latest of both last
        self._items_of: dict[str, frozenset[str]] = {}
        self._unsolved: dict[str, None] = {}
        self._solved: dict[str, _Solved] = {}
        self.space = ItemSpace(model, no_new_items(model))
        self.generation = 0

    @cached_property
    def selector(self) -> Selector:
        """Applies rules to the items."""
        return Selector(self._model)

    def note(self, user_id: str, interests: Mapping[str, Interest]) -> None:
        """Replace what is known of a user's interest in new items, by item id."""
        before = self._items_of.pop(user_id, frozenset())
        for item_id in before - interests.keys():
            if self._interests.get(item_id, {}).pop(user_id, None):
                self._unsolved[item_id] = None
        for item_id, interest in interests.items():
            users = self._interests.pop(item_id, {})
            users.pop(user_id, None)
            users[user_id] = interest
            if len(users) > _MOST_USERS:
                del users[next(iter(users))]
            self._interests[item_id] = users
            self._unsolved[item_id] = None
        if interests:
            self._items_of[user_id] = frozenset(interests)
        while len(self._interests) > _MOST_ITEMS:
            self._drop(next(iter(self._interests)))

    def solve(self) -> Iterator[None]:
        """Solve items whose interests have changed, one per step, then replace `space` if there were any."""
        batch = list(self._unsolved)[:_SOLVED_AT_ONCE]
        for item_id in batch:
            self._unsolved.pop(item_id, None)
            interests = list(self._interests.get(item_id, {}).values())
            if interests:
                self._solved[item_id] = self._solution(interests)
            else:
                self._drop(item_id)
            yield
        if batch:
            self.space = ItemSpace(self._model, self._new_items())
            self.generation += 1

    def _drop(self, item_id: str) -> None:
        self._interests.pop(item_id, None)
        self._solved.pop(item_id, None)
        self._unsolved.pop(item_id, None)

    def _solution(self, interests: list[Interest]) -> _Solved:
        ranking = self._model.ranking
        with_vector = [interest for interest in interests if interest.ranking is not None]
        factors = np.zeros(ranking.item_factors.shape[1], dtype=np.float32)
        if with_vector:
            vectors = np.array([interest.ranking for interest in with_vector], dtype=np.float64)
            strengths = np.array([interest.strength for interest in with_vector])
            factors = solve_ranking_item(ranking, self._users, vectors, strengths)
        rated = [interest for interest in interests if not np.isnan(interest.stars)]
        rating_factors, bias = solve_rating_item(
            self._model.rating,
            np.array([interest.rating for interest in rated]).reshape(
                len(rated), self._model.rating.item_factors.shape[1]
            ),
            np.array([interest.bias for interest in rated]),
            np.array([interest.stars for interest in rated]),
        )
        return _Solved(factors, rating_factors, bias, len(interests))

    def _new_items(self) -> NewItems:
        """The solved items that somebody with a vector has interacted with."""
        solved = {item_id: row for item_id, row in self._solved.items() if row.ranking.any()}
        if not solved:
            return no_new_items(self._model)
        ranking = np.array([row.ranking for row in solved.values()])
        return NewItems(
            ids=tuple(solved),
            ranking_factors=ranking,
            rating_factors=np.array([row.rating for row in solved.values()]),
            rating_bias=np.array([row.bias for row in solved.values()], dtype=np.float32),
            popularity=np.array([row.users for row in solved.values()], dtype=np.float32),
            score_deviation=self._users.deviations(ranking),
        )
