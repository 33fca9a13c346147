"""One model together with the live events since its position: everything that an answer is made of.

A request takes one snapshot and answers from it alone, so factors of two models never meet in an answer.
"""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender_serving.answers import ModelReference, PopularItem, PopularItems, Recommendation, RecommendationList
from recommender_serving.engine.events import Event
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from recommender_serving.engine.live_events import LiveEvents, user_observations
from recommender_serving.engine.ranking import popular_items, top_n
from recommender_serving.metrics import Metrics

Source = Literal["personalized", "folded_in", "popular"]
K = TypeVar("K")
V = TypeVar("V")
_NOTHING = np.empty(0, dtype=np.int32)
_NOT_RENDERED: tuple[int, Source, bytes] = (-1, "popular", b"")


@dataclass(frozen=True, slots=True)
class UserState:
    """One user brought up to date with their events.

    Attributes:
        live_version: `LiveEvents.version` of the user that this was made from.
        source: Where the vectors come from; `popular` has no ranking vector.
        ranking: (k,) float32 vector of the ranking head.
        rating: (k,) float32 vector of the rating head.
        bias: The user's bias in the rating head.
        seen: Item indices that the user has interacted with.
        unknown_items: Ids of items that the model does not know; they do not count until the next model.
        as_of: Time (RFC 3339) of the newest event in here, or of the model if there is none since.
    """

    live_version: int
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
        model: The champion.
        live: Events from the model's position on; grows while the snapshot serves.
        metrics: Where the time of user solves goes.
        cached_lists: Rendered lists, and solved users, that are kept.
    """

    def __init__(self, model: FactorModel, live: LiveEvents, metrics: Metrics, cached_lists: int) -> None:
        self.model = model
        self.live = live
        self._reference = ModelReference(algorithm=model.algorithm, version=model.version)
        self._solve_duration = metrics.user_solve_duration
        self._cached_lists = cached_lists
        self._states: dict[str, UserState] = {}
        self._lists: dict[tuple[str, int, bool], tuple[int, Source, bytes]] = {}
        rating, bias = fold_in_rating(model.rating, _NOTHING, np.empty(0, dtype=np.float32))
        self._average_rating, self._average_bias = rating.astype(np.float32), bias

    def answer(self, user_id: str, n: int, *, exclude_seen: bool, ranking_id: str) -> tuple[Source, bytes]:
        """The list as JSON, with the answer's own ranking id; rendered again only after the user's next event."""
        key = (user_id, n, exclude_seen)
        version, source, body = self._lists.get(key, _NOT_RENDERED)
        if version != self.live.version(user_id):
            recommendations = self.recommend(user_id, n, exclude_seen=exclude_seen)
            version, source, body = self.live.version(user_id), recommendations.source, _encode(recommendations)
            _keep(self._lists, key, (version, source, body), self._cached_lists)
        return source, b'%b%b"}' % (body, ranking_id.encode())

    def recommend(self, user_id: str, n: int, *, exclude_seen: bool) -> RecommendationList:
        """The best `n` items for a user, best first; fewer only if fewer are left."""
        state = self.state_of(user_id)
        excluded = state.seen if exclude_seen else _NOTHING
        if state.source == "popular":
            scores = self.model.popularity
            items = popular_items(scores, n, excluded)
        else:
            scores = self.model.ranking.item_factors @ state.ranking
            items = top_n(scores, n, excluded)
        ratings = self._predicted_ratings(state, items)
        return RecommendationList(
            user_id=user_id,
            recommendations=[
                self._recommendation(item, float(scores[item]), rating)
                for item, rating in zip(items.tolist(), ratings.tolist(), strict=True)
            ],
            model=self._reference,
            source=state.source,
            unknown_items=state.unknown_items,
            as_of=state.as_of,
        )

    def popular(self, n: int) -> PopularItems:
        """The `n` items with most users."""
        popularity = self.model.popularity
        return PopularItems(
            items=[
                PopularItem(
                    item_id=self.model.item_ids[item],
                    title=self.model.catalogue.titles[item],
                    users=int(popularity[item]),
                )
                for item in popular_items(popularity, n, _NOTHING).tolist()
            ],
            model=self._reference,
        )

    def state_of(self, user_id: str) -> UserState:
        """The user's vectors; solved again if the user has had an event since."""
        version = self.live.version(user_id)
        state = self._states.get(user_id)
        if state is not None and state.live_version == version:
            return state
        started = time.perf_counter()
        state = self._solve(user_id, version)
        self._solve_duration.observe(time.perf_counter() - started)
        _keep(self._states, user_id, state, self._cached_lists)
        return state

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

    def _solve(self, user_id: str, version: int) -> UserState:
        model = self.model
        live = self.live.of_user(user_id)
        observed = user_observations(model, live, user_id)
        seen, unknown_items = observed.items, observed.unknown_items
        as_of = _rfc3339(max(event.timestamp_us for event, _, _ in live)) if live else model.manifest.created_at
        index = model.user_ids.index(user_id)
        if not len(seen):
            ranking, rating, bias = _NOTHING.astype(np.float32), self._average_rating, self._average_bias
            return UserState(version, "popular", ranking, rating, bias, seen, unknown_items, as_of)
        if not live and index >= 0:
            ranking, rating = model.ranking.user_factors[index], model.rating.user_factors[index]
            bias = float(model.rating.user_bias[index])
            return UserState(version, "personalized", ranking, rating, bias, seen, unknown_items, as_of)
        solved_rating, bias = fold_in_rating(model.rating, seen, observed.ratings)
        ranking = fold_in_ranking(model.ranking, seen, observed.strengths).astype(np.float32)
        rating = solved_rating.astype(np.float32)
        return UserState(version, "folded_in", ranking, rating, bias, seen, unknown_items, as_of)

    def _predicted_ratings(self, state: UserState, items: NDArray[np.integer]) -> NDArray[np.float64]:
        head, scale = self.model.rating, self.model.manifest.scale
        stars: NDArray[np.float64] = (head.item_factors[items] @ state.rating + head.item_bias[items]).astype(
            np.float64
        )
        return (stars + (head.global_mean + state.bias)).clip(scale.min, scale.max)

    def _recommendation(self, item: int, score: float, rating: float) -> Recommendation:
        return Recommendation(
            item_id=self.model.item_ids[item],
            title=self.model.catalogue.titles[item],
            score=score,
            predicted_rating=rating,
        )


def _encode(recommendations: RecommendationList) -> bytes:
    """The JSON up to and including the quote that opens the ranking id, which is the last member and empty."""
    return msgspec.json.encode(recommendations)[:-2]


def _keep(cache: dict[K, V], key: K, value: V, size: int) -> None:
    """Put a value into a cache of bounded size; the entry that was put in first goes."""
    cache.pop(key, None)
    if len(cache) >= size:
        del cache[next(iter(cache))]
    cache[key] = value


def _rfc3339(timestamp_us: int) -> str:
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=timestamp_us)
    return moment.isoformat().replace("+00:00", "Z")
