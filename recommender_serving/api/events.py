"""`POST /events`."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody

from recommender_serving.answers import EventCounts
from recommender_serving.engine.config import ApiSettings, RatingScale
from recommender_serving.engine.events import event_schema
from recommender_serving.errors import problem_responses
from recommender_serving.event_intake import EventIntake


def events_route(intake: EventIntake, scale: RatingScale, settings: ApiSettings) -> HTTPRouteHandler:
    """The route, bound to the intake that stores events."""

    @post(
        "/events",
        status_code=200,
        operation_id="sendEvents",
        summary="Store interactions",
        tags=["events"],
        request_max_body_size=settings.max_body_bytes,
        responses=problem_responses(400, 413, 422, 503),
        operation_class=_operation_with_body(scale),
    )
    async def send_events(request: Request[Any, Any, State]) -> EventCounts:
        """One event, a JSON list of events, or one event per line; answered once Kafka has acknowledged them.

        The next list for such a user on this replica takes the events into account.
        """
        return await intake.take(await request.body())

    return send_events


def _operation_with_body(scale: RatingScale) -> type[Operation]:
    """The OpenAPI operation with the event's own schema: the route reads raw bytes, so none can be inferred."""
    event: Any = event_schema(scale)
    one_or_many: Any = {"oneOf": [event, {"type": "array", "items": event}]}
    body = RequestBody(
        required=True,
        content={
            "application/json": OpenAPIMediaType(schema=one_or_many),
            "application/x-ndjson": OpenAPIMediaType(schema=event),
        },
    )

    @dataclass
    class OperationWithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return OperationWithBody
