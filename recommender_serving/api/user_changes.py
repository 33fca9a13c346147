"""`GET /users/{user_id}/changes`: server-sent events whenever a user's lists are about to differ."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from litestar import Request, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage

from recommender_serving.champion import Champion
from recommender_serving.encoded_path import decoded_user_id
from recommender_serving.errors import OverloadedError, problem_responses

_LOOK_SECONDS = 0.02
_HEARTBEAT_SECONDS = 15.0
_MOST_STREAMS = 100


class UserVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a user's lists are made from: the model, and a number that grows with the user's events."""

    model_version: str
    events: int


def user_changes_route(champion: Champion) -> HTTPRouteHandler:
    """The route, bound to the champion whose live events it watches."""
    open_streams: set[object] = set()

    @get(
        "/users/{user_id:str}/changes",
        operation_id="userChanges",
        summary="Changes of one user, as they happen",
        tags=["users"],
        media_type="text/event-stream",
        responses={
            200: ResponseSpec(str, generate_examples=False, media_type="text/event-stream"),
            **problem_responses(400, 503),
        },
    )
    async def user_changes(request: Request[Any, Any, State], user_id: FromPath[str]) -> ServerSentEvent:
        """Server-sent events named `changed`, the first at once, each with the model's version and the user's count."""
        decoded = decoded_user_id(user_id)
        _ = champion.snapshot
        if len(open_streams) >= _MOST_STREAMS:
            raise OverloadedError(f"{_MOST_STREAMS} streams are open, which is the limit.", retry_after_seconds=5)
        is_stopping: Callable[[], bool] = request.app.state.get("is_stopping", lambda: False)

        async def messages() -> AsyncIterator[ServerSentEventMessage]:
            stream = object()
            open_streams.add(stream)
            try:
                async for version in _versions(champion, decoded, is_stopping):
                    if version is None:
                        yield ServerSentEventMessage(comment="still here")
                    else:
                        yield ServerSentEventMessage(event="changed", data=msgspec.json.encode(version).decode())
            finally:
                open_streams.discard(stream)

        return ServerSentEvent(messages())

    return user_changes


async def _versions(
    champion: Champion, user_id: str, is_stopping: Callable[[], bool]
) -> AsyncIterator[UserVersion | None]:
    """Each new version of the user; None after a while without any."""
    last, silent_since = None, asyncio.get_running_loop().time()
    while not is_stopping():
        snapshot = champion.snapshot
        version = UserVersion(model_version=snapshot.model.version, events=snapshot.live.version(user_id))
        now = asyncio.get_running_loop().time()
        if version != last or now - silent_since > _HEARTBEAT_SECONDS:
            yield version if version != last else None
            last, silent_since = version, now
        await asyncio.sleep(_LOOK_SECONDS)
