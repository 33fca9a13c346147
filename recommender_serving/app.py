"""Puts the service together: what lives as long as the application, and its routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from litestar import Litestar
from litestar.exceptions import HTTPException

from recommender_serving.access.gate import RequestGate
from recommender_serving.api.events import events_route
from recommender_serving.api.health import health_routes
from recommender_serving.api.items import popular_items_route, similar_items_route
from recommender_serving.api.known_users import known_users_route
from recommender_serving.api.model import model_route
from recommender_serving.api.page import page_routes
from recommender_serving.api.recommendations import recommendations_route
from recommender_serving.api.requested_lists import requested_lists_route
from recommender_serving.api.user_changes import user_changes_route
from recommender_serving.api.user_history import user_history_route
from recommender_serving.api.users import forget_user_route, user_route
from recommender_serving.champion import Champion
from recommender_serving.engine.config import StreamingSettings
from recommender_serving.errors import http_problem, unexpected_problem
from recommender_serving.event_intake import EventIntake, Publisher
from recommender_serving.event_publisher import EventPublisher
from recommender_serving.experiments import Experiments
from recommender_serving.list_serving import ListServing
from recommender_serving.live_updates import FollowerFactory, LiveUpdates
from recommender_serving.log_writer import LogWriter
from recommender_serving.metrics import Metrics
from recommender_serving.openapi import openapi_config
from recommender_serving.ranking_ids import new_ranking_ids
from recommender_serving.recommendation_log import RecommendationLog, WriterFactory
from recommender_serving.requested_lists import RequestedListMaker
from recommender_serving.settings import Settings
from recommender_serving.topic_follower import TopicFollower
from recommender_serving.user_list_front import UserListFront
from recommender_serving.user_lists import UserLists

PublisherFactory = Callable[[StreamingSettings, float], Publisher]


def create_app(
    settings: Settings,
    follower: FollowerFactory = TopicFollower,
    publisher: PublisherFactory = EventPublisher,
    log_writer: WriterFactory = LogWriter,
) -> Litestar:
    """The service as an ASGI application.

    Args:
        settings: What `load_settings` read.
        follower: Makes the reader of the event topic.
        publisher: Makes the writer of the event topic.
        log_writer: Makes the writer of the recommendation log.
    """
    metrics = Metrics()
    live_updates = LiveUpdates(settings.streaming, settings.ratings, metrics, follower, settings.api.max_live_events)
    experiments = Experiments(settings.root, settings.champion.poll_interval_seconds, metrics)
    champion = Champion(settings, live_updates, metrics, experiments.versions)
    log = RecommendationLog(settings.streaming, settings.recommendation_log, metrics, log_writer)
    serving = ListServing(experiments, log, metrics, new_ranking_ids())
    lists = UserLists(champion, serving)

    writer = publisher(settings.streaming, settings.api.event_timeout_seconds)
    intake = EventIntake(settings.ratings, champion, live_updates, writer, metrics)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        live_updates.start()
        writer.start()
        await experiments.refresh()
        watches = asyncio.gather(champion.watch(), champion.watch_new_items(), experiments.watch())
        try:
            yield
        finally:
            watches.cancel()
            with suppress(asyncio.CancelledError):
                await watches
            await asyncio.gather(asyncio.to_thread(writer.stop), asyncio.to_thread(log.stop))
            await live_updates.stop()

    app = Litestar(
        route_handlers=[
            recommendations_route(lists, settings.api),
            requested_lists_route(RequestedListMaker(champion, serving), settings.ratings, settings.api),
            popular_items_route(champion, settings.api),
            similar_items_route(champion, settings.api),
            events_route(intake, settings.api),
            forget_user_route(intake),
            user_route(champion),
            model_route(champion, live_updates),
            known_users_route(champion),
            user_history_route(champion),
            user_changes_route(champion),
            *page_routes(),
            *health_routes(champion, experiments, log, metrics),
        ],
        lifespan=[lifespan],
        exception_handlers={HTTPException: http_problem, Exception: unexpected_problem},
        logging_config=None,
        openapi_config=openapi_config(settings),
        request_max_body_size=settings.api.max_body_bytes,
    )
    front = UserListFront(champion, lists, settings.api.max_recommendations)
    app.asgi_handler = RequestGate(front, app.asgi_handler, settings.access, settings.logging, metrics)
    return app
