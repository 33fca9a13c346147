"""What users do with items that a model does not know: carried into the model's catalogue, at most once a second.

Work is bounded: a refresh looks at the users who had events since the one before, and solves at most a hundred items.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.live_catalogue import Interest, LiveCatalogue
from recommender_serving.engine.live_events import LiveEvent, LiveEvents, user_observations
from recommender_serving.user_state import UserState

_KEPT_ANSWERS = 65_536
_USERS_PER_TURN = 32  # of the event loop, if they have nothing to do with new items; else one


class UsersNow(Protocol):
    """Users as one model and the live events since know them."""

    def events_of(self, user_id: str) -> Sequence[LiveEvent]:
        """The events of a user since the model."""

    def state_of(self, user_id: str) -> UserState:
        """The user's vectors."""


class NewItemFeed:
    """Brings one model's catalogue up to date.

    Args:
        model: Knows its items.
        catalogue: Of that model.
        live: Tells who had events.
    """

    def __init__(self, model: FactorModel, catalogue: LiveCatalogue, live: LiveEvents) -> None:
        self._model = model
        self._catalogue = catalogue
        self._live = live
        self._is_known = lru_cache(_KEPT_ANSWERS)(lambda item_id: model.item_ids.index(item_id) >= 0)
        self._read_up_to = 0
        self._interested: set[str] = set()

    async def refresh(self, users_now: UsersNow) -> None:
        """Take up what has happened since the last time.

        Args:
            users_now: What is known of the users. It is not kept: of two objects that hold each other, as this one and
                a snapshot would, the memory comes back only when Python collects garbage, and that stops every request.
        """
        self._read_up_to, users = self._live.changed_since(self._read_up_to)
        for step, user_id in enumerate(users, start=1):
            if self._take_up(user_id, users_now) or step % _USERS_PER_TURN == 0:
                await asyncio.sleep(0)
        for _ in self._catalogue.solve():
            await asyncio.sleep(0)

    def _take_up(self, user_id: str, users_now: UsersNow) -> bool:
        """Tell the catalogue of a user's interest in new items; returns whether there was or is any."""
        events = users_now.events_of(user_id)
        meets_new_items = any(event.item_id is not None and not self._is_known(event.item_id) for event, _, _ in events)
        if not meets_new_items and user_id not in self._interested:
            return False
        interests = self._interests(user_id, events, users_now.state_of(user_id))
        self._catalogue.note(user_id, interests)
        if interests:
            self._interested.add(user_id)
        else:
            self._interested.discard(user_id)
        return True

    def _interests(self, user_id: str, events: Sequence[LiveEvent], state: UserState) -> dict[str, Interest]:
        observed = user_observations(self._model, events, user_id)
        ranking = None if state.source == "popular" else state.ranking
        return {
            item_id: Interest(strength, stars, ranking, state.rating, state.bias)
            for item_id, strength, stars in zip(
                observed.unknown_items,
                observed.unknown_strengths.tolist(),
                observed.unknown_ratings.tolist(),
                strict=True,
            )
        }
