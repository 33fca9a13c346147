"""Every error of the service as `application/problem+json` (RFC 9457) with a stable `code`."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Send

PROBLEM_MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)

_FRAMEWORK_CODES = {
    400: ("invalid_request", "A parameter or the body breaks a rule; `errors` names each one."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "The address does not take this method; `Allow` names those it takes."),
    413: ("body_too_large", "The body is larger than `api.max_body_bytes`."),
    500: ("internal_error", "The service failed to answer; its log has the details under the request id."),
}
OTHER_CODE = "http_error"


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every error; `code` is stable, `detail` is for people."""

    title: str
    status: int
    code: str
    detail: str
    type: str = "about:blank"


class ServiceError(HTTPException):
    """An error of this service with a code of its own; the first line of a subclass's docstring documents the code.

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


class UnknownParameterError(ServiceError):
    """The query string has a parameter that the route does not know."""

    status_code = 400
    code = "unknown_parameter"


class InvalidUserIdError(ServiceError):
    """The user id in the address breaks the rule for ids."""

    status_code = 400
    code = "invalid_user_id"


class InvalidItemIdError(ServiceError):
    """The item id in the address breaks the rule for ids."""

    status_code = 400
    code = "invalid_item_id"


class MalformedBodyError(ServiceError):
    """The body is no JSON, or cannot be taken apart into events."""

    status_code = 400
    code = "malformed_body"


class InvalidBodyError(ServiceError):
    """A field of the body breaks a rule; `detail` names field, value and rule."""

    status_code = 400
    code = "invalid_body"


class UnknownItemError(ServiceError):
    """Neither the model nor any event since knows the item."""

    status_code = 404
    code = "unknown_item"


class AlgorithmNotDeployedError(ServiceError):
    """No model of the algorithm that was asked for is in service."""

    status_code = 409
    code = "algorithm_not_deployed"


class VariantNotRunningError(ServiceError):
    """The experiment is not running, or has no such variant."""

    status_code = 409
    code = "variant_not_running"


class EventsRejectedError(ServiceError):
    """No event of the body could be taken."""

    status_code = 422
    code = "events_rejected"


class UnauthenticatedError(ServiceError):
    """The call needs an API key, and none or an unknown one was sent."""

    status_code = 401
    code = "unauthenticated"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class ForbiddenError(ServiceError):
    """The key lacks the scope that the call needs; or there are no keys, and a writing call came from elsewhere."""

    status_code = 403
    code = "forbidden"


class RateLimitedError(ServiceError):
    """The caller has sent too many requests; `Retry-After` says when to go on."""

    status_code = 429
    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after_seconds: float) -> None:
        super().__init__(detail, headers={"Retry-After": str(math.ceil(retry_after_seconds))})


class OverloadedError(ServiceError):
    """More requests arrive than the replica can answer in time; `Retry-After` says when to try again."""

    status_code = 503
    code = "overloaded"

    def __init__(self, detail: str, *, retry_after_seconds: float) -> None:
        super().__init__(detail, headers={"Retry-After": str(math.ceil(retry_after_seconds))})


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


def problem_codes() -> dict[str, tuple[int, str]]:
    """Every code that an answer may carry -> its status and meaning, ordered by status."""
    codes = {code: (status, meaning) for status, (code, meaning) in _FRAMEWORK_CODES.items()}
    for error in ServiceError.__subclasses__():
        codes[error.code] = (error.status_code, (error.__doc__ or "").partition("\n")[0])
    return dict(sorted(codes.items(), key=lambda entry: (entry[1][0], entry[0])))


def http_problem(_: Request[Any, Any, State], error: HTTPException) -> Response[bytes]:
    """Answer an error that was raised on purpose, by a route or by Litestar."""
    body = _problem_body(error)
    headers = dict(error.headers or {})
    return Response(body, status_code=error.status_code, media_type=PROBLEM_MEDIA_TYPE, headers=headers)


def unexpected_problem(request: Request[Any, Any, State], error: Exception) -> Response[bytes]:
    """Answer a programming error: the log gets the traceback, the caller only the fact."""
    logger.error("%s %s failed", request.method, request.scope.get("path_template"), exc_info=error)
    return http_problem(request, HTTPException(detail="The service failed to answer; its log has the details."))


async def send_problem(error: ServiceError, send: Send) -> None:
    """Answer an error outside of any route."""
    body = _problem_body(error)
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    headers += [(b"content-type", PROBLEM_MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _problem_body(error: HTTPException) -> bytes:
    status = error.status_code
    code = error.code if isinstance(error, ServiceError) else _FRAMEWORK_CODES.get(status, (OTHER_CODE, ""))[0]
    extensions = dict(error.extensions) if isinstance(error, ServiceError) else {}
    title = HTTPStatus(status).phrase
    detail = error.detail or title
    if isinstance(error.extra, list):
        extensions["errors"] = error.extra
        detail = "; ".join(_broken_rule(entry) for entry in error.extra) or detail
    problem = ProblemDetails(title=title, status=status, code=code, detail=detail)
    return msgspec.json.encode({**msgspec.structs.asdict(problem), **extensions})


def _broken_rule(entry: object) -> str:
    """One entry of Litestar's list of validation errors: which parameter, and what was expected of it."""
    if not isinstance(entry, dict):
        return str(entry)
    return f"{entry.get('key', 'request')}: {str(entry.get('message', 'not valid')).replace('`', '')}"
