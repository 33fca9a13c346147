"""What users do with items that a model does not know: carried into the model's catalogue, at most once a second.

Work is bounded: a refresh looks at the users who had events since the one before, and solves at most a hundred items.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache

from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.live_catalogue import Interest, LiveCatalogue
from recommender_serving.engine.live_events import LiveEvent, LiveEvents, user_observations
from recommender_serving.user_state import UserState

_KEPT_ANSWERS = 65_536
_USERS_PER_TURN = 32  # of the event loop, if they have nothing to do with new items; else one


class NewItemFeed:
    """Brings one model's catalogue up to date.

    Args:
        model: Knows its items.
        catalogue: Of that model.
        live: Tells who had events.
        events_of: The events of a user since the model.
        state_of: The user's vectors.
    """

    def __init__(
        self,
        model: FactorModel,
        catalogue: LiveCatalogue,
        live: LiveEvents,
        events_of: Callable[[str], Sequence[LiveEvent]],
        state_of: Callable[[str], UserState],
    ) -> None:
        self._model = model
        self._catalogue = catalogue
        self._live = live
        self._events_of = events_of
        self._state_of = state_of
        self._is_known = lru_cache(_KEPT_ANSWERS)(lambda item_id: model.item_ids.index(item_id) >= 0)
        self._read_up_to = 0
        self._interested: set[str] = set()

    async def refresh(self) -> None:
        """Take up what has happened since the last time."""
        self._read_up_to, users = self._live.changed_since(self._read_up_to)
        for step, user_id in enumerate(users, start=1):
            if self._take_up(user_id) or step % _USERS_PER_TURN == 0:
                await asyncio.sleep(0)
        for _ in self._catalogue.solve():
            await asyncio.sleep(0)

    def _take_up(self, user_id: str) -> bool:
        """Tell the catalogue of a user's interest in new items; returns whether there was or is any."""
        events = self._events_of(user_id)
        meets_new_items = any(event.item_id is not None and not self._is_known(event.item_id) for event, _, _ in events)
        if not meets_new_items and user_id not in self._interested:
            return False
        interests = self._interests(user_id, events)
        self._catalogue.note(user_id, interests)
        if interests:
            self._interested.add(user_id)
        else:
            self._interested.discard(user_id)
        return True

    def _interests(self, user_id: str, events: Sequence[LiveEvent]) -> dict[str, Interest]:
        observed, state = user_observations(self._model, events, user_id), self._state_of(user_id)
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
