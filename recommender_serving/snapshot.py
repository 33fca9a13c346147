"""One model together with the live events since its position: everything that an answer is made of.

A request takes one snapshot and answers from it alone, so factors of two models never meet in an answer.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import lru_cache, partial

import msgspec
import numpy as np

from recommender_serving.answers import ModelReference, Recommendation, RecommendationList
from recommender_serving.engine.events import Event
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.item_rules import Rules
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.live_catalogue import LiveCatalogue
from recommender_serving.engine.live_events import LiveEvent, LiveEvents
from recommender_serving.engine.ranking import popular_items
from recommender_serving.engine.top_items import Query, TopItems
from recommender_serving.metrics import Metrics
from recommender_serving.model_loading import LoadedModel
from recommender_serving.new_items import NewItemFeed
from recommender_serving.ranked_items import LARGE_CATALOGUE, RankedItems, rank_items
from recommender_serving.rendered_list import ListSettings, RenderedList, render
from recommender_serving.search_threads import SearchThreads
from recommender_serving.user_cache import CachedUser, UserCache
from recommender_serving.user_state import UserState, folded_in_user, stranger, trained_user

_NOTHING = np.empty(0, dtype=np.int32)
_KEPT_ITEM_TEXTS = 65_536
_LARGEST_INLINE_SEARCH = 2_000_000  # numbers of the item factors; about 0.2 ms
_DECIMALS = 6  # of scores and stars in an answer


class Snapshot:
    """A model with the live events after its position, answering for users.

    Args:
        loaded: The model.
        live: Events; grows while the snapshot serves.
        start: Partition -> first offset that is not inside the model; earlier events do not count.
        metrics: Where the time of user solves goes.
        cache_bytes: Memory for users that are kept with their lists.
        threads: Search large catalogues.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        live: LiveEvents,
        start: Mapping[int, int],
        *,
        metrics: Metrics,
        cache_bytes: int,
        threads: SearchThreads,
    ) -> None:
        self.loaded = loaded
        self.model = model = loaded.model
        self.live = live
        self.catalogue = LiveCatalogue(model, loaded.users)
        self.start = dict(start)
        self._index = loaded.item_index
        self._is_large = model.ranking.item_factors.size > _LARGEST_INLINE_SEARCH
        self._threads = threads
        self.reference = ModelReference(algorithm=model.algorithm, version=model.version)
        self._solve_duration = metrics.user_solve_duration
        self._cache_hits, self._cache_misses = metrics.cache_hits, metrics.cache_misses
        self._text = lru_cache(_KEPT_ITEM_TEXTS)(partial(_text_of_item, model))
        self._users: UserCache[UserState] = UserCache(cache_bytes)
        self._stranger: CachedUser[UserState] = CachedUser(stranger(model), version=0, size=0)
        self._new_items = NewItemFeed(model, self.catalogue, live)

    @property
    def cache_bytes(self) -> int:
        """Memory of kept users and lists."""
        return self._users.size

    async def answer(self, user_id: str, wanted: ListSettings) -> RenderedList:
        """The list, rendered; again only after the user's next event."""
        user = self._up_to_date(user_id)
        rendered = user.lists.get(wanted)
        if rendered is not None:
            self._cache_hits.inc()
        else:
            self._cache_misses.inc()
            rendered = await self._rendered(user_id, user, wanted)
        return rendered

    async def kept(self, user_id: str, key: Hashable, make: Callable[[], Awaitable[RenderedList]]) -> RenderedList:
        """Any list that is the user's own until their next event; of users that nobody knows nothing is kept."""
        user = self._up_to_date(user_id)
        rendered = user.lists.get(key)
        if rendered is not None:
            self._cache_hits.inc()
            return rendered
        self._cache_misses.inc()
        space = self.catalogue.space
        rendered = await make()
        if user is not self._stranger and space is self.catalogue.space:
            self._users.add_list(user_id, user, key, rendered)
        return rendered

    async def refresh_new_items(self) -> None:
        """Take up what users have done with items that the model does not know."""
        await self._new_items.refresh(self)

    async def take_over(self, other: "Snapshot", until: float) -> None:
        """Render what another model's latest askers were shown, so that they need not wait for it after a swap.

        Args:
            other: The model that answered so far.
            until: When to stop at the latest, in seconds of the monotonic clock.
        """
        for user_id, keys in other._users.latest():  # noqa: SLF001 (its own class)
            for key in keys:
                if time.monotonic() > until:
                    return
                if isinstance(key, ListSettings):
                    await self._rendered(user_id, self._up_to_date(user_id), key)
                    await asyncio.sleep(0)  # requests come first

    async def recommend(self, user_id: str, wanted: ListSettings) -> RecommendationList:
        """The best items for a user, best first; fewer only if fewer are left."""
        state, space = self.state_of(user_id), self.catalogue.space
        recommendations = self._described(state, await self._find(state, wanted, space), space)
        return msgspec.structs.replace(recommendations, user_id=user_id)

    async def search(self, query: Query) -> TopItems:
        """The best items for one query to the ranking head; a large catalogue is searched beside the event loop."""
        if self._is_large:
            return await self._threads.search(self._index, query)
        return self._index.search([query])[0]

    def state_of(self, user_id: str) -> UserState:
        """The user's vectors; solved again if the user has had an event since."""
        return self._up_to_date(user_id).state

    def events_of(self, user_id: str) -> Sequence[LiveEvent]:
        """The user's events since the model."""
        return self.live.of_user(user_id, self.start)

    def state_of_session(self, events: Sequence[LiveEvent]) -> UserState:
        """The vectors of somebody of whom only these events are known."""
        nobody = self._stranger.state
        return folded_in_user(self.model, "", events, nobody) if events else nobody

    def holds(self, event: Event) -> bool:
        """Whether the event came before, live or in training: equal event id and time stamp are the same event."""
        identity = (event.timestamp_us, event.event_id)
        if any((known.timestamp_us, known.event_id) == identity for known, _, _ in self.live.of_user(event.user_id)):
            return True
        user = self.model.user_ids.index(event.user_id)
        if user < 0:
            return False
        history = self.model.history
        rows = history.rows_of(user)
        same_time = history.timestamp_us[rows] == event.timestamp_us
        return bool((same_time & (history.event_key[rows] == event.event_key)).any())

    def _up_to_date(self, user_id: str) -> CachedUser[UserState]:
        """The user's entry; a new one after an event. Users that nobody knows share one."""
        version = self.live.version(user_id)
        user = self._users.get(user_id)
        if user is not None and user.version == version:
            return user if user.generation == self.catalogue.generation else self._rechecked(user_id, user)
        started = time.perf_counter()
        live = self.events_of(user_id) if version else ()
        index = self.model.user_ids.index(user_id)
        if live:
            state = folded_in_user(self.model, user_id, live, self._stranger.state)
        elif index >= 0:
            state = trained_user(self.model, user_id, index) or self._stranger.state
        else:
            return self._rechecked(user_id, self._stranger)
        self._solve_duration.observe(time.perf_counter() - started)
        own_bytes = sum(array.nbytes for array in (state.ranking, state.rating, state.seen) if array.base is None)
        user = self._users.put(user_id, state, version, own_bytes)
        user.generation = self.catalogue.generation
        return user

    async def _rendered(self, user_id: str, user: CachedUser[UserState], wanted: ListSettings) -> RenderedList:
        """A list that is not kept; it is from now on."""
        space = self.catalogue.space
        found = await self._find(user.state, wanted, space)
        rendered = render(self._described(user.state, found, space), floor=self._floor(found, wanted, space))
        if space is self.catalogue.space:
            self._users.add_list(user_id, user, wanted, rendered)
        return rendered

    def _rechecked(self, user_id: str, user: CachedUser[UserState]) -> CachedUser[UserState]:
        """The entry without the lists that new items have changed since."""
        catalogue = self.catalogue
        if user.generation != catalogue.generation:
            space, state = catalogue.space, user.state
            of_new = space.new.popularity.max(initial=-math.inf)
            best = float(of_new) if state.source == "popular" else space.best_new_score(state.ranking)
            self._users.recheck(user_id, user, catalogue.generation, best)
        return user

    async def _find(self, state: UserState, wanted: ListSettings, space: ItemSpace) -> TopItems:
        """The items of a list and their scores."""
        if wanted.popularity_discount or wanted.diversity:
            ranked = await self._ranked(state, wanted, space)
            return TopItems(ranked.items, ranked.scores)
        if state.source == "popular":
            items = popular_items(space.popularity, wanted.n, _NOTHING)
            return TopItems(items, space.popularity[items].astype(np.float64))
        found = await self.search(
            Query(vector=state.ranking, n=wanted.n, excluded=state.seen if wanted.exclude_seen else None)
        )
        if not space.new.ids:
            return found
        seen = space.indices(state.unknown_items) if wanted.exclude_seen else _NOTHING
        return space.with_new_items(found, state.ranking, wanted.n, seen)

    async def _ranked(self, state: UserState, wanted: ListSettings, space: ItemSpace) -> RankedItems:
        """The list by settings that weigh or spread the scores of all items."""
        vector = None if state.source == "popular" else state.ranking
        rules = Rules(popularity_discount=wanted.popularity_discount, diversity=wanted.diversity)
        seen = state.seen_in(space) if wanted.exclude_seen else _NOTHING
        rank = partial(rank_items, self.catalogue.selector, space, vector, rules, wanted.n, seen)
        return await asyncio.to_thread(rank) if len(space) > LARGE_CATALOGUE else rank()

    def _described(self, state: UserState, found: TopItems, space: ItemSpace) -> RecommendationList:
        items, n_known = found.items.tolist(), self.model.n_items
        texts = [self._text(item) if item < n_known else (space.item_id(item), "") for item in items]
        scores = found.scores.round(_DECIMALS).tolist()
        stars = space.stars(found.items, state.rating, state.bias).round(_DECIMALS).tolist()
        return RecommendationList(
            user_id="",
            recommendations=[
                Recommendation(*text, score, rating) for text, score, rating in zip(texts, scores, stars, strict=True)
            ],
            model=self.reference,
            source=state.source,
            unknown_items=state.unknown_items,
            as_of=state.as_of,
        )

    def _floor(self, found: TopItems, wanted: ListSettings, space: ItemSpace) -> float:
        """See `RenderedList.floor`."""
        if wanted.popularity_discount or wanted.diversity:
            return math.nan
        if space.new.ids and (found.items >= self.model.n_items).any():
            return math.nan
        return float(found.scores[-1]) if len(found.items) == wanted.n else -math.inf


def _text_of_item(model: FactorModel, item: int) -> tuple[str, str]:
    return model.item_ids[item], model.catalogue.titles[item]
