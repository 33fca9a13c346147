"""`POST /events`."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody

from recommender_serving.answers import EventCounts
from recommender_serving.engine.config import ApiSettings
from recommender_serving.errors import problem_responses
from recommender_serving.event_intake import EventIntake

_EVENT: Any = {"$ref": "#/components/schemas/Event"}
_ONE_OR_MANY: Any = {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}


@dataclass
class _OperationWithBody(Operation):
    """The OpenAPI operation with the event as body: the route reads raw bytes, so none can be inferred."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            required=True,
            content={
                "application/json": OpenAPIMediaType(schema=_ONE_OR_MANY),
                "application/x-ndjson": OpenAPIMediaType(schema=_EVENT),
            },
        )


def events_route(intake: EventIntake, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to the intake that stores events."""

    @post(
        "/events",
        status_code=200,
        operation_id="sendEvents",
        summary="Store interactions",
        tags=["events"],
        request_max_body_size=settings.max_body_bytes,
        responses=problem_responses(400, 413, 422, 503),
        operation_class=_OperationWithBody,
    )
    async def send_events(request: Request[Any, Any, State]) -> EventCounts:
        """One event, a JSON list of events, or one event per line; answered once Kafka has acknowledged them.

        The next list for such a user on this replica takes the events into account.
        """
        return await intake.take(await request.body())

    return send_events
