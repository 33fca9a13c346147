"""The ASGI layer that every request passes: its id, whether it is admitted, and what its answer carries."""

import logging
import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send

from recommender_serving.access.admission import Admission
from recommender_serving.access.conditional import make_conditional
from recommender_serving.access.cross_origin import CrossOrigin
from recommender_serving.access.request_ids import current_request_id, is_valid, new_request_ids
from recommender_serving.errors import ServiceError, send_problem
from recommender_serving.metrics import Metrics
from recommender_serving.settings import AccessSettings, LogSettings

logger = logging.getLogger(__name__)


class RequestGate:
    """Names each request, turns away what is not admitted, and logs what took long.

    Args:
        app: What answers admitted requests.
        settings: Keys, limits and allowed origins.
        logging_settings: Which requests are worth a line.
        metrics: Where refusals are counted.
    """

    def __init__(self, app: ASGIApp, settings: AccessSettings, logging_settings: LogSettings, metrics: Metrics) -> None:
        self._app = app
        self._refused = metrics.refused_requests
        self._cross_origin = CrossOrigin(settings.allowed_origins)
        self._admission = Admission(settings, self._cross_origin)
        self._load = self._admission.load
        self._request_ids = new_request_ids()
        self._slow_seconds = logging_settings.slow_request_milliseconds / 1_000
        self._logs_all = logging_settings.level == "debug"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or turn it away."""
        if scope["type"] == ScopeType.HTTP:
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id")
        if request_id is None or not is_valid(request_id):
            request_id = next(self._request_ids)
        current_request_id.set(request_id.decode())
        carried = [(b"x-request-id", request_id)]
        origin = headers.get(b"origin")
        if origin is not None:
            carried += self._cross_origin.headers(origin)
        is_get, known = scope["method"] == "GET", headers.get(b"if-none-match")
        start: HTTPResponseStartEvent | None = None
        status, is_stream = 500, False

        async def send_carrying(message: Message) -> None:
            nonlocal start, status, is_stream
            if message["type"] == "http.response.start":
                start = message  # sent with the body, whose content decides on the headers
                return
            if message["type"] == "http.response.body" and start is not None:
                held, start = start, None
                held["headers"] = [*held["headers"], *carried]
                is_stream = message.get("more_body", False)
                if is_get and held["status"] == 200 and not is_stream:
                    make_conditional(held, message, known)
                status = held["status"]
                await send(held)
            await send(message)

        key_name = ""
        try:
            if origin is not None and scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                carried += self._cross_origin.preflight_headers(origin)
                await _send_no_content(send_carrying)
                return
            key_name = self._admission.admit(scope, headers)
            with self._load:
                await self._app(scope, receive, send_carrying)
        except ServiceError as refusal:
            self._refused.labels(refusal.code).inc()
            await send_problem(refusal, send_carrying)
        finally:
            seconds = time.perf_counter() - started
            if self._logs_all or (seconds > self._slow_seconds and not is_stream):
                self._log(scope, status, seconds, key_name)

    def _log(self, scope: HTTPScope, status: int, seconds: float, key_name: str) -> None:
        """One line about a request; above debug level by its route only, for the path may hold the id of a user."""
        facts = {
            "method": scope["method"],
            "route": scope.get("path_template") or "unmatched",
            "status": status,
            "milliseconds": round(seconds * 1_000, 3),
            "key": key_name,
        }
        if seconds > self._slow_seconds:
            logger.warning("request took long", extra=facts)
        if self._logs_all:
            logger.debug("request", extra=facts | {"path": scope["path"]})


async def _send_no_content(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
