"""Answers `POST /recommendations`: brings users or sessions up to date, applies the rules, explains if asked to."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender_serving.champion import Champion
from recommender_serving.engine.events import Event
from recommender_serving.engine.item_rules import Rules, Selector
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.live_events import LiveEvent, user_observations
from recommender_serving.engine.top_items import Query
from recommender_serving.errors import InvalidBodyError
from recommender_serving.list_explanations import explanations
from recommender_serving.metrics import Metrics
from recommender_serving.recommendation_request import RecommendationRequest, SessionItem
from recommender_serving.request_answers import RequestedItem, RequestedList, RequestedLists
from recommender_serving.snapshot import Snapshot, UserState

_NOTHING = np.empty(0, dtype=np.int32)
_LARGE_CATALOGUE = 100_000  # items; their scores are worked out in a thread
_AT_ONCE = 8  # users between two turns of the event loop
_DECIMALS = 6  # of scores and stars in an answer


@dataclass(frozen=True, slots=True, eq=False)
class RankedItems:
    """The items of a list with their scores before and after discount and boosts."""

    items: NDArray[np.int64]
    raw_scores: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Asker:
    """For whom a list is made: a user, or a session, which has no id."""

    user_id: str
    state: UserState
    events: Sequence[LiveEvent]


class RequestedListMaker:
    """Makes the lists that a body asks for.

    Args:
        champion: Answers.
        metrics: Where lists are counted.
        ranking_ids: A name for every list.
    """

    def __init__(self, champion: Champion, metrics: Metrics, ranking_ids: Iterator[bytes]) -> None:
        self._champion = champion
        self._recommendations = metrics.recommendations
        self._ranking_ids = ranking_ids

    async def answer(self, request: RecommendationRequest) -> RequestedList | RequestedLists:
        """One list, or one per user; all from one model.

        Raises:
            NotReadyError: there is no model.
            AlgorithmNotDeployedError: no model of the algorithm is in service.
            InvalidBodyError: the catalogue has no such category.
        """
        snapshot, rules = self._champion.deployed(request.algorithm), request.rules()
        if unknown := snapshot.catalogue.selector.unknown_categories(rules):
            raise InvalidBodyError(f"categories: expected categories of the catalogue, got {', '.join(unknown[:10])}")
        if request.items is not None:
            events = _events_of(request.items)
            session = _Asker("", snapshot.state_of_session(events), events)
            return await self._list(snapshot, request, rules, session)
        if request.users is None:
            return await self._list(snapshot, request, rules, _user(snapshot, request.user_id))
        lists: list[RequestedList] = []
        for start in range(0, len(request.users), _AT_ONCE):
            users = [_user(snapshot, user) for user in request.users[start : start + _AT_ONCE]]
            lists += await asyncio.gather(*(self._list(snapshot, request, rules, user) for user in users))
            await asyncio.sleep(0)
        return RequestedLists(lists=lists)

    async def _list(
        self, snapshot: Snapshot, request: RecommendationRequest, rules: Rules, asker: _Asker
    ) -> RequestedList:
        state, space = asker.state, snapshot.catalogue.space
        seen = _seen(state, space) if request.exclude_seen else _NOTHING
        ranked = await _ranked(snapshot, space, state, rules, request.num_recommendations, seen)
        stars = space.stars(ranked.items, state.rating, state.bias)
        recommendations = [
            RequestedItem(item_id=space.item_id(item), title=space.title(item), score=score, predicted_rating=rating)
            for item, score, rating in zip(
                ranked.items.tolist(),
                ranked.scores.round(_DECIMALS).tolist(),
                stars.round(_DECIMALS).tolist(),
                strict=True,
            )
        ]
        if request.explain:
            observed = user_observations(snapshot.model, asker.events, asker.user_id)
            reasons = explanations(space, state, observed, ranked.items, ranked.raw_scores, ranked.scores)
            recommendations = [
                msgspec.structs.replace(entry, explanation=reason)
                for entry, reason in zip(recommendations, reasons, strict=True)
            ]
        self._recommendations.labels(state.source).inc()
        return RequestedList(
            user_id=asker.user_id or msgspec.UNSET,
            recommendations=recommendations,
            model=snapshot.reference,
            source=state.source,
            unknown_items=state.unknown_items,
            as_of=state.as_of,
            ranking_id=next(self._ranking_ids).decode(),
        )


async def _ranked(  # noqa: PLR0917
    snapshot: Snapshot, space: ItemSpace, state: UserState, rules: Rules, n: int, seen: NDArray[np.integer]
) -> RankedItems:
    """The list; searched like any other if the rules only leave items out."""
    selector = snapshot.catalogue.selector
    if state.source != "popular" and not rules.reorders and not space.new.ids:
        eligible = selector.eligible(space, rules, seen)
        items, scores = await snapshot.search(Query(vector=state.ranking, n=n, eligible=eligible))
        return RankedItems(items, scores, scores)
    rank = partial(_rank, selector, space, state, rules, n, seen)
    return await asyncio.to_thread(rank) if len(space) > _LARGE_CATALOGUE else rank()


def _rank(  # noqa: PLR0917
    selector: Selector, space: ItemSpace, state: UserState, rules: Rules, n: int, seen: NDArray[np.integer]
) -> RankedItems:
    raw = space.popularity if state.source == "popular" else space.scores(state.ranking)
    scores = selector.weighed(space, raw, rules)
    items = selector.select(space, scores, selector.eligible(space, rules, seen), n, rules)
    return RankedItems(items, raw[items].astype(np.float64), scores[items].astype(np.float64))


def _user(snapshot: Snapshot, user_id: str | int | None) -> _Asker:
    return _Asker(str(user_id), snapshot.state_of(str(user_id)), snapshot.events_of(str(user_id)))


def _seen(state: UserState, space: ItemSpace) -> NDArray[np.integer]:
    return np.concatenate((state.seen, space.indices(state.unknown_items))) if state.unknown_items else state.seen


def _events_of(session: Sequence[str | int | SessionItem]) -> list[LiveEvent]:
    """The session as events of nobody, oldest first; the last one happens now."""
    start_us = time.time_ns() // 1_000 - len(session)
    events = []
    for place, entry in enumerate(session):
        item = entry if isinstance(entry, SessionItem) else SessionItem(item_id=entry)
        event_type = item.event_type or ("click" if item.rating is None else "rating")
        event = Event("", str(item.item_id), event_type, item.rating, start_us + place + 1, str(place))
        events.append(LiveEvent(event, 0, place))
    return events
