"""One model together with the live events since its position: everything that an answer is made of.

A request takes one snapshot and answers from it alone, so factors of two models never meet in an answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender_serving.answers import ModelReference, Recommendation, RecommendationList, Source
from recommender_serving.engine.events import Event
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.history import REMOVE
from recommender_serving.engine.item_rules import Rules
from recommender_serving.engine.live_catalogue import LiveCatalogue
from recommender_serving.engine.live_events import LiveEvent, LiveEvents, user_observations
from recommender_serving.engine.ranking import popular_items
from recommender_serving.engine.top_items import Query, TopItems
from recommender_serving.metrics import Metrics
from recommender_serving.model_loading import LoadedModel
from recommender_serving.ranked_items import LARGE_CATALOGUE, RankedItems, rank_items
from recommender_serving.rendered_list import ListSettings, RenderedList, render
from recommender_serving.search_threads import SearchThreads
from recommender_serving.timestamps import rfc3339
from recommender_serving.user_cache import CachedUser, UserCache

_NOTHING = np.empty(0, dtype=np.int32)
_KEPT_ITEM_TEXTS = 65_536
_LARGEST_INLINE_SEARCH = 2_000_000  # numbers of the item factors; about 0.2 ms
_DECIMALS = 6  # of scores and stars in an answer


@dataclass(frozen=True, slots=True)
class UserState:
    """One user brought up to date with their events.

    Attributes:
        source: Where the vectors come from; `popular` has no ranking vector.
        ranking: (k,) float32 vector of the ranking head.
        rating: (k,) float32 vector of the rating head.
        bias: The user's bias in the rating head.
        seen: Item indices that the user has interacted with.
        unknown_items: Ids of items that the model does not know; they do not count until the next model.
        as_of: Time (RFC 3339) of the newest event in here, or of the model if there is none since.
    """

    source: Source
    ranking: NDArray[np.float32]
    rating: NDArray[np.float32]
    bias: float
    seen: NDArray[np.int32]
    unknown_items: list[str]
    as_of: str


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
        self.catalogue = LiveCatalogue(model)
        self.start = dict(start)
        self._index = loaded.item_index
        self._is_large = model.ranking.item_factors.size > _LARGEST_INLINE_SEARCH
        self._threads = threads
        self.reference = ModelReference(algorithm=model.algorithm, version=model.version)
        self._solve_duration = metrics.user_solve_duration
        self._cache_hits, self._cache_misses = metrics.cache_hits, metrics.cache_misses
        self._text = lru_cache(_KEPT_ITEM_TEXTS)(partial(_text_of_item, model))
        self._users: UserCache[UserState] = UserCache(cache_bytes)
        rating, bias = fold_in_rating(model.rating, _NOTHING, np.empty(0, dtype=np.float32))
        self._stranger: CachedUser[UserState] = CachedUser(
            UserState(
                source="popular",
                ranking=np.empty(0, dtype=np.float32),
                rating=rating.astype(np.float32),
                bias=bias,
                seen=_NOTHING,
                unknown_items=[],
                as_of=model.manifest.created_at,
            ),
            version=0,
            size=0,
        )

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
            rendered = render(await self._recommend(user.state, wanted))
            self._users.add_list(user_id, user, wanted, rendered)
        return rendered

    async def kept(self, user_id: str, key: Hashable, make: Callable[[], Awaitable[RenderedList]]) -> RenderedList:
        """Any list that is the user's own until their next event; of users that nobody knows nothing is kept."""
        user = self._up_to_date(user_id)
        rendered = user.lists.get(key)
        if rendered is not None:
            self._cache_hits.inc()
            return rendered
        self._cache_misses.inc()
        rendered = await make()
        if user is not self._stranger:
            self._users.add_list(user_id, user, key, rendered)
        return rendered

    async def recommend(self, user_id: str, wanted: ListSettings) -> RecommendationList:
        """The best items for a user, best first; fewer only if fewer are left."""
        recommendations = await self._recommend(self.state_of(user_id), wanted)
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
        return self._solved("", events) if events else self._stranger.state

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
            return user
        started = time.perf_counter()
        live = self.events_of(user_id) if version else ()
        index = self.model.user_ids.index(user_id)
        if live:
            state = self._solved(user_id, live)
        elif index >= 0:
            state = self._trained(user_id, index)
        else:
            return self._stranger
        self._solve_duration.observe(time.perf_counter() - started)
        own_bytes = sum(array.nbytes for array in (state.ranking, state.rating, state.seen) if array.base is None)
        return self._users.put(user_id, state, version, own_bytes)

    def _trained(self, user_id: str, index: int) -> UserState:
        """A user of the model without events since."""
        model = self.model
        rows = model.history.rows_of(index)
        seen = model.history.item[rows]
        if len(seen) and (model.history.event_type[rows] == REMOVE).any():
            seen = user_observations(model, (), user_id).items
        elif len(seen):
            first_of_item = np.ones(len(seen), dtype=bool)
            np.not_equal(seen[1:], seen[:-1], out=first_of_item[1:])
            seen = seen[first_of_item]
        if not len(seen):
            return self._stranger.state
        return UserState(
            source="personalized",
            ranking=model.ranking.user_factors[index],
            rating=model.rating.user_factors[index],
            bias=float(model.rating.user_bias[index]),
            seen=seen,
            unknown_items=[],
            as_of=model.manifest.created_at,
        )

    def _solved(self, user_id: str, live: Sequence[LiveEvent]) -> UserState:
        """A user with events since the model."""
        model, stranger = self.model, self._stranger.state
        observed = user_observations(model, live, user_id)
        seen = observed.items
        ranking, rating, bias = stranger.ranking, stranger.rating, stranger.bias
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

    async def _recommend(self, state: UserState, wanted: ListSettings) -> RecommendationList:
        if wanted.popularity_discount or wanted.diversity:
            ranked = await self._ranked(state, wanted)
            items, scores = ranked.items, ranked.scores
        elif state.source == "popular":
            items = popular_items(self.model.popularity, wanted.n, _NOTHING)
            scores = self.model.popularity[items].astype(np.float64)
        else:
            excluded = state.seen if wanted.exclude_seen else None
            items, scores = await self.search(Query(vector=state.ranking, n=wanted.n, excluded=excluded))
        entries = zip(
            items.tolist(),
            scores.round(_DECIMALS).tolist(),
            self._predicted_ratings(state, items).round(_DECIMALS).tolist(),
            strict=True,
        )
        return RecommendationList(
            user_id="",
            recommendations=[Recommendation(*self._text(item), score, rating) for item, score, rating in entries],
            model=self.reference,
            source=state.source,
            unknown_items=state.unknown_items,
            as_of=state.as_of,
        )

    async def _ranked(self, state: UserState, wanted: ListSettings) -> RankedItems:
        """The list by settings that weigh or spread the scores of all items."""
        space, selector = self.catalogue.space, self.catalogue.selector
        vector = None if state.source == "popular" else state.ranking
        rules = Rules(popularity_discount=wanted.popularity_discount, diversity=wanted.diversity)
        rank = partial(
            rank_items, selector, space, vector, rules, wanted.n, state.seen if wanted.exclude_seen else _NOTHING
        )
        return await asyncio.to_thread(rank) if len(space) > LARGE_CATALOGUE else rank()

    def _predicted_ratings(self, state: UserState, items: NDArray[np.integer]) -> NDArray[np.float64]:
        head, scale = self.model.rating, self.model.manifest.scale
        stars: NDArray[np.float64] = (head.item_factors[items] @ state.rating + head.item_bias[items]).astype(
            np.float64
        )
        return (stars + (head.global_mean + state.bias)).clip(scale.min, scale.max)


def _text_of_item(model: FactorModel, item: int) -> tuple[str, str]:
    return model.item_ids[item], model.catalogue.titles[item]
