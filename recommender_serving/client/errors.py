"""What a call of the client may raise."""

from http import HTTPStatus
from typing import Any

import httpx
import msgspec


class RecommenderError(Exception):
    """Base of all errors of the client."""


class UnreachableError(RecommenderError):
    """No answer came in time, also not after all retries."""


class UnexpectedAnswerError(RecommenderError):
    """An answer came that is none of this service, e.g. the page of a proxy."""


class ProblemError(RecommenderError):
    """The service refused the call or failed.

    Attributes:
        status: HTTP status.
        code: Stable code, the one to compare with; "" if the answer was no problem document.
        detail: For people.
        request_id: Names the call in the service's log.
        document: All members of the problem document.
    """

    def __init__(self, status: int, document: dict[str, Any], request_id: str) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail", ""))
        self.request_id = request_id
        self.document = document
        super().__init__(f"{status} {self.code or _phrase(status)}: {self.detail} (request {request_id or 'unknown'})")


def problem_of(response: httpx.Response) -> ProblemError:
    """The error in an answer whose status is none of success."""
    try:
        document = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        document = {}
    return ProblemError(
        response.status_code, document if isinstance(document, dict) else {}, response.headers.get("x-request-id", "")
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"
