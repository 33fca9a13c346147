from typing import Any

import msgspec
import pytest
from litestar import get
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.testing import create_test_client

from recommender_serving.errors import (
    EventsNotStoredError,
    EventsRejectedError,
    ForbiddenError,
    InvalidUserIdError,
    MalformedBodyError,
    NotReadyError,
    OverloadedError,
    ProblemDetails,
    RateLimitedError,
    ServiceError,
    UnauthenticatedError,
    http_problem,
    problem_codes,
    problem_responses,
    unexpected_problem,
)
from tests.unit.recommender_serving.service import problem_of


def answer_to(error: Exception) -> Any:
    @get("/")
    async def fail() -> None:
        raise error

    handlers = {HTTPException: http_problem, Exception: unexpected_problem}
    with create_test_client(fail, exception_handlers=handlers, logging_config=None) as client:
        return client.get("/")


@pytest.mark.parametrize(
    ("error_type", "status", "code"),
    [
        (InvalidUserIdError, 400, "invalid_user_id"),
        (MalformedBodyError, 400, "malformed_body"),
        (EventsRejectedError, 422, "events_rejected"),
        (NotReadyError, 503, "not_ready"),
        (EventsNotStoredError, 503, "events_not_stored"),
    ],
)
def test_codes_and_statuses_are_stable(error_type: type[ServiceError], status: int, code: str) -> None:
    response = answer_to(error_type("what happened", headers={"Retry-After": "3"}, extensions={"stored": 2}))
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "3"
    assert response.json()["stored"] == 2
    problem = msgspec.json.decode(response.content, type=ProblemDetails)
    assert (problem.status, problem.code, problem.detail) == (status, code, "what happened")


def test_an_error_of_the_framework_gets_a_code_of_its_status() -> None:
    response = answer_to(NotAuthorizedException("who are you"))
    assert (response.status_code, response.json()["code"]) == (401, "http_error")
    assert response.json()["detail"] == "who are you"


def test_a_programming_error_keeps_its_text_to_itself() -> None:
    response = answer_to(ZeroDivisionError("secret"))
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret" not in response.text


def test_routes_document_their_errors_as_problems() -> None:
    documented = problem_responses(400, 503)
    assert set(documented) == {400, 503}
    assert documented[503].data_container is ProblemDetails
    assert documented[503].description == "Service Unavailable"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "invalid_request"), (404, "not_found"), (405, "method_not_allowed"), (418, "http_error")]
)
def test_title_and_type_follow_the_status(status: int, code: str) -> None:
    problem = problem_of(answer_to(HTTPException(status_code=status)), status, code)
    assert problem.keys() == {"type", "title", "status", "code", "detail"}


def test_further_members_stand_beside_the_standard_ones() -> None:
    error = HTTPException(detail="two things", status_code=400, extra=[{"key": "a"}, {"key": "b"}])
    assert problem_of(answer_to(error), 400, "invalid_request")["errors"] == [{"key": "a"}, {"key": "b"}]
    assert "errors" not in answer_to(HTTPException(status_code=400, extra={"key": "a"})).json()


def test_a_programming_error_is_logged_with_method_path_and_traceback(caplog: pytest.LogCaptureFixture) -> None:
    problem_of(answer_to(ZeroDivisionError("secret")), 500, "internal_error")
    record = next(record for record in caplog.records if record.name == "recommender_serving.errors")
    assert record.getMessage() == "GET / failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_every_code_is_listed_once_with_its_status_and_a_sentence() -> None:
    codes = problem_codes()
    assert codes["invalid_user_id"] == (400, "The user id in the address breaks the rule for ids.")
    for error in ServiceError.__subclasses__():
        assert codes[error.code][0] == error.status_code
    assert all(meaning.endswith(".") for _, meaning in codes.values())
    assert [status for status, _ in codes.values()] == sorted(status for status, _ in codes.values())
    own = [error.code for error in ServiceError.__subclasses__()]
    assert len(own) == len(set(own))


def test_refusals_carry_the_headers_that_http_asks_for() -> None:
    unauthenticated = answer_to(UnauthenticatedError("who are you"))
    problem_of(unauthenticated, 401, "unauthenticated")
    assert unauthenticated.headers["www-authenticate"] == "Bearer"
    problem_of(answer_to(ForbiddenError("not you")), 403, "forbidden")
    for error, status, code in (
        (RateLimitedError("slow down", retry_after_seconds=0.2), 429, "rate_limited"),
        (OverloadedError("too much", retry_after_seconds=1), 503, "overloaded"),
    ):
        response = answer_to(error)
        problem_of(response, status, code)
        assert response.headers["retry-after"] == "1"
