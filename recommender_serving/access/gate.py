"""The ASGI layer that every request passes: its id, whether it is admitted, what its answer carries, its time."""

import logging
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send

from recommender_serving.access.admission import Admission
from recommender_serving.access.conditional import make_conditional
from recommender_serving.access.cross_origin import CrossOrigin, Headers
from recommender_serving.access.request_ids import current_request_id, is_valid, new_request_ids
from recommender_serving.encoded_path import encoded_path
from recommender_serving.errors import ServiceError, send_problem
from recommender_serving.metrics import Metrics, RequestDurations
from recommender_serving.settings import AccessSettings, LogSettings

logger = logging.getLogger(__name__)


class WholeAnswer(NamedTuple):
    """An answer that is complete, its validator among the headers."""

    status: int
    headers: Headers
    body: bytes


class Front(Protocol):
    """What this module needs of `UserListFront`."""

    async def answer(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> WholeAnswer | None:
        """The answer to an admitted request; None if the application behind it is to answer."""


class RequestGate:
    """Names each request, turns away what is not admitted, times it, and logs what took long.

    Args:
        front: Answers the most frequent requests.
        app: Answers all others.
        settings: Keys, limits and allowed origins.
        logging_settings: Which requests are worth a line.
        metrics: Where requests and refusals are counted.
    """

    def __init__(
        self, front: Front, app: ASGIApp, settings: AccessSettings, logging_settings: LogSettings, metrics: Metrics
    ) -> None:
        self._front = front
        self._app = app
        self._refused = metrics.refused_requests
        self._durations = RequestDurations(metrics)
        self._cross_origin = CrossOrigin(settings.allowed_origins)
        self._admission = Admission(settings, self._cross_origin)
        self._load = self._admission.load
        self._request_ids = new_request_ids()
        self._slow_seconds = logging_settings.slow_request_milliseconds / 1_000
        self._logs_all = logging_settings.level == "debug"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or turn it away."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        scope["path"] = encoded_path(scope)
        headers = dict(scope["headers"])
        answering = _Answering(send, self._carried(headers), headers if scope["method"] == "GET" else None)
        key_name = ""
        try:
            if scope["method"] == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers:
                await answering.whole(WholeAnswer(204, self._cross_origin.preflight_headers(headers[b"origin"]), b""))
                return
            key_name = self._admission.admit(scope, headers)
            with self._load:
                answer = await self._front.answer(scope, headers)
                if answer is not None:
                    await answering.whole(answer)
                else:
                    await self._app(scope, receive, answering.send)
        except ServiceError as refusal:
            self._refused.labels(refusal.code).inc()
            await send_problem(refusal, answering.send)
        finally:
            seconds = time.perf_counter() - started
            self._durations.observe(scope, answering.status, seconds)
            if self._logs_all or (seconds > self._slow_seconds and not answering.is_stream):
                self._log(scope, answering.status, seconds, key_name)

    def _carried(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What every answer to the request carries: its id, and what lets a page of another origin read it."""
        request_id = headers.get(b"x-request-id")
        if request_id is None or not is_valid(request_id):
            request_id = next(self._request_ids)
        current_request_id.set(request_id.decode())
        origin = headers.get(b"origin")
        of_origin = [] if origin is None else self._cross_origin.headers(origin)
        return [(b"x-request-id", request_id), *of_origin]

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


class _Answering:
    """Sends the answer to one request with what it carries.

    Args:
        send: Of the server.
        carried: Further headers.
        conditional: The request's headers if its answer gets a validator, which a whole answer has already.

    Attributes:
        status: Of the answer; 500 until there is one.
        is_stream: Whether the answer has come in parts.
    """

    __slots__ = ("_carried", "_conditional", "_send", "_start", "is_stream", "status")

    def __init__(self, send: Send, carried: Headers, conditional: Mapping[bytes, bytes] | None) -> None:
        self._send = send
        self._carried = carried
        self._conditional = conditional
        self._start: HTTPResponseStartEvent | None = None
        self.status = 500
        self.is_stream = False

    async def whole(self, answer: WholeAnswer) -> None:
        """Send a complete answer."""
        self.status = answer.status
        headers = answer.headers + self._carried
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body, "more_body": False})

    async def send(self, message: Message) -> None:
        """Send one message of an application."""
        if message["type"] == "http.response.start":
            self._start = message  # sent with the body, whose content decides on the headers
            return
        if message["type"] == "http.response.body" and self._start is not None:
            start, self._start = self._start, None
            start["headers"] = [*start["headers"], *self._carried]
            self.is_stream = message.get("more_body", False)
            if self._conditional is not None and start["status"] == 200 and not self.is_stream:
                make_conditional(start, message, self._conditional.get(b"if-none-match"))
            self.status = start["status"]
            await self._send(start)
        await self._send(message)
