"""Every error of the service as `application/problem+json` (RFC 9457) with a stable `code`."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec

PROBLEM_MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)

_CODES = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every error; `code` is stable, `detail` is for people."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"


class ServiceError(HTTPException):
    """An error of this service with a code of its own.

    Attributes:
        code: Stable code that clients may compare with.
        extensions: Further members of the problem document.
    """

    code: str = "internal_error"

    def __init__(
        self, detail: str, *, headers: dict[str, str] | None = None, extensions: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(detail=detail, status_code=self.status_code, headers=headers)
        self.extensions = dict(extensions or {})


class InvalidUserIdError(ServiceError):
    """The user id in the address breaks the rule for ids."""

    status_code = 400
    code = "invalid_user_id"


class MalformedBodyError(ServiceError):
    """The body of `POST /events` cannot be taken apart into events."""

    status_code = 400
    code = "malformed_body"


class EventsRejectedError(ServiceError):
    """No event of the body could be taken."""

    status_code = 422
    code = "events_rejected"


class NotReadyError(ServiceError):
    """There is no champion to answer with, or it is still being brought up to date."""

    status_code = 503
    code = "not_ready"


class EventsNotStoredError(ServiceError):
    """Kafka did not acknowledge every event in time."""

    status_code = 503
    code = "events_not_stored"


def problem_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """OpenAPI entries for the error statuses of a route."""
    return {
        status: ResponseSpec(
            ProblemDetails,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type=PROBLEM_MEDIA_TYPE,
        )
        for status in statuses
    }


def http_problem(_: Request[Any, Any, State], error: HTTPException) -> Response[bytes]:
    """Answer an error that was raised on purpose, by a route or by Litestar."""
    status = error.status_code
    code = error.code if isinstance(error, ServiceError) else _CODES.get(status, f"http_{status}")
    extensions = dict(error.extensions) if isinstance(error, ServiceError) else {}
    if isinstance(error.extra, list):
        extensions["errors"] = error.extra
    return _response(status, code, error.detail or HTTPStatus(status).phrase, extensions, error.headers)


def unexpected_problem(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """Answer a programming error: the log gets the traceback, the caller only the fact."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _response(500, "internal_error", "The service failed to answer; its log has the details.", {}, None)


def _response(
    status: int, code: str, detail: str, extensions: Mapping[str, object], headers: Mapping[str, str] | None
) -> Response[bytes]:
    problem = ProblemDetails(title=HTTPStatus(status).phrase, status=status, code=code, detail=detail)
    body = msgspec.json.encode({**msgspec.structs.asdict(problem), **extensions})
    return Response(body, status_code=status, media_type=PROBLEM_MEDIA_TYPE, headers=dict(headers or {}))
