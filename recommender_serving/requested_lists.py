"""Answers `POST /recommendations`: brings users or sessions up to date, applies the rules, explains if asked to."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from recommender_serving.champion import Champion
from recommender_serving.deployment import Deployment
from recommender_serving.engine.events import Event
from recommender_serving.engine.item_rules import Rules
from recommender_serving.engine.item_space import ItemSpace
from recommender_serving.engine.live_events import LiveEvent, user_observations
from recommender_serving.engine.top_items import Query
from recommender_serving.errors import InvalidBodyError
from recommender_serving.interleaved_lists import draft
from recommender_serving.list_explanations import explanations
from recommender_serving.list_serving import ListServing, Plan
from recommender_serving.ranked_items import LARGE_CATALOGUE, RankedItems, rank_items
from recommender_serving.recommendation_request import RecommendationRequest, SessionItem
from recommender_serving.rendered_list import ListSettings
from recommender_serving.request_answers import RequestedItem, RequestedList, RequestedLists
from recommender_serving.snapshot import Snapshot
from recommender_serving.user_state import UserState

_NOTHING = np.empty(0, dtype=np.int32)
_AT_ONCE = 8  # users between two turns of the event loop
_DECIMALS = 6  # of scores and stars in an answer


@dataclass(frozen=True, slots=True, eq=False)
class _Asker:
    """For whom a list is made: a user, or a session, which has no id."""

    user_id: str
    state: UserState
    events: Sequence[LiveEvent]


class RequestedListMaker:
    """Makes the lists that a body asks for.

    Args:
        champion: The models.
        serving: Says who draws up a user's list, counts and logs it.
    """

    def __init__(self, champion: Champion, serving: ListServing) -> None:
        self._champion = champion
        self._serving = serving

    async def answer(self, request: RecommendationRequest) -> RequestedList | RequestedLists:
        """One list, or one per user; all from one deployment.

        Raises:
            NotReadyError: there is no model.
            AlgorithmNotDeployedError: no model of the algorithm, or of the variant to try out, is in service.
            VariantNotRunningError: the variant to try out is not running.
            InvalidBodyError: the catalogue has no such category.
        """
        deployment = self._champion.deployment
        rules = request.rules()
        if unknown := deployment.of(request.algorithm).catalogue.selector.unknown_categories(rules):
            raise InvalidBodyError(f"categories: expected categories of the catalogue, got {', '.join(unknown[:10])}")
        if request.items is not None:
            return await self._session_list(deployment, request)
        if request.users is None:
            return await self._user_list(deployment, request, str(request.user_id))
        lists: list[RequestedList] = []
        for start in range(0, len(request.users), _AT_ONCE):
            users = map(str, request.users[start : start + _AT_ONCE])
            lists += await asyncio.gather(*(self._user_list(deployment, request, user) for user in users))
            await asyncio.sleep(0)
        return RequestedLists(lists=lists)

    async def _session_list(self, deployment: Deployment, request: RecommendationRequest) -> RequestedList:
        plan = self._serving.plan_without_experiment(deployment, request.algorithm, _wanted(request))
        snapshot = plan.rankers[0].snapshot
        events = _events_of(request.items or ())
        session = _Asker("", snapshot.state_of_session(events), events)
        return self._booked(plan, await self._list(snapshot, request, session))

    async def _user_list(self, deployment: Deployment, request: RecommendationRequest, user_id: str) -> RequestedList:
        wanted = _wanted(request)
        if request.may_join_experiments:
            plan = self._serving.plan(deployment, user_id, wanted, request.variant)
        else:
            plan = self._serving.plan_without_experiment(deployment, request.algorithm, wanted)
        lists = [
            await self._list(ranker.snapshot, _ranked_by(request, ranker.wanted), _user(ranker.snapshot, user_id))
            for ranker in plan.rankers
        ]
        if plan.arm is None or len(lists) == 1:
            return self._booked(plan, lists[0])
        control, treatment = lists
        rankers = (plan.rankers[0], plan.rankers[1])
        entries, teams = draft(
            plan.arm.reference.name,
            user_id,
            rankers,
            control.recommendations,
            treatment.recommendations,
            control.as_of,
        )
        return self._booked(plan, msgspec.structs.replace(control, recommendations=entries), teams)

    def _booked(self, plan: Plan, served: RequestedList, teams: tuple[str, ...] | None = None) -> RequestedList:
        """The list with its experiment and ranking id."""
        user_id = served.user_id if isinstance(served.user_id, str) else ""
        items = tuple(entry.item_id for entry in served.recommendations)
        ranking_id = self._serving.book(plan, user_id, served.source, items, teams).decode()
        experiment = None if plan.arm is None else plan.arm.reference
        return msgspec.structs.replace(served, experiment=experiment, ranking_id=ranking_id)

    async def _list(self, snapshot: Snapshot, request: RecommendationRequest, asker: _Asker) -> RequestedList:
        state, space, rules = asker.state, snapshot.catalogue.space, request.rules()
        seen = state.seen_in(space) if request.exclude_seen else _NOTHING
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
        return RequestedList(
            user_id=asker.user_id or msgspec.UNSET,
            recommendations=recommendations,
            model=snapshot.reference,
            source=state.source,
            unknown_items=state.unknown_items,
            as_of=state.as_of,
            ranking_id="",
        )


async def _ranked(  # noqa: PLR0917
    snapshot: Snapshot, space: ItemSpace, state: UserState, rules: Rules, n: int, seen: NDArray[np.integer]
) -> RankedItems:
    """The list; searched like any other if the rules only leave items out."""
    selector = snapshot.catalogue.selector
    if state.source != "popular" and not rules.reorders:
        eligible, n_known = selector.eligible(space, rules, seen), snapshot.model.n_items
        known = await snapshot.search(Query(vector=state.ranking, n=n, eligible=eligible[:n_known]))
        items, scores = space.with_new_items(known, state.ranking, n, np.flatnonzero(~eligible[n_known:]) + n_known)
        return RankedItems(items, scores, scores)
    rank = partial(rank_items, selector, space, None if state.source == "popular" else state.ranking, rules, n, seen)
    return await asyncio.to_thread(rank) if len(space) > LARGE_CATALOGUE else rank()


def _wanted(request: RecommendationRequest) -> ListSettings:
    return ListSettings(
        request.num_recommendations, request.exclude_seen, request.popularity_discount, request.diversity
    )


def _ranked_by(request: RecommendationRequest, wanted: ListSettings) -> RecommendationRequest:
    """The request with the ranking settings of an arm."""
    return msgspec.structs.replace(request, popularity_discount=wanted.popularity_discount, diversity=wanted.diversity)


def _user(snapshot: Snapshot, user_id: str) -> _Asker:
    return _Asker(user_id, snapshot.state_of(user_id), snapshot.events_of(user_id))


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
