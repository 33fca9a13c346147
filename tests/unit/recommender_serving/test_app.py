import logging
from unittest.mock import patch

import msgspec
import pytest

from recommender_serving.champion import Champion
from recommender_serving.snapshot import Snapshot
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, get_raw, metric, problem_of

OK_SERIES = (
    'recommender_http_request_duration_seconds_count{method="GET",route="/recommendations/user/{user_id}",status="200"}'
)


async def test_an_unknown_route_is_a_problem(service: Service) -> None:
    async with service.running() as client:
        response = await client.get("/recommendation")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "Not Found",
    }


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(service: Service) -> None:
    async with service.running() as client:
        response = await client.delete("/events")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in response.headers["allow"]


async def test_a_programming_error_is_logged_and_told_without_its_details(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        with patch.object(Snapshot, "answer", side_effect=RuntimeError("secret")), caplog.at_level(logging.ERROR):
            response = await client.get("/recommendations/user/u0")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert "RuntimeError: secret" in caplog.text


@pytest.mark.parametrize(
    "path",
    [b"/recommendations/user/" + tail for tail in (b"%ff", b"%C3%28", b"%ED%A0%80", b"%zz", b"%", b"a%4", b"\xff")],
)
async def test_a_user_id_that_is_encoded_wrongly_is_the_callers_error(service: Service, path: bytes) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        status, content_type, body = await get_raw(client, path)
        assert await metric(client, OK_SERIES) == 0
    problem = msgspec.json.decode(body)
    assert (status, content_type) == (400, "application/problem+json")
    assert (problem["code"], problem["title"], problem["status"]) == ("invalid_user_id", "Bad Request", 400)
    assert "user_id" in problem["detail"]


@pytest.mark.parametrize("path", [b"/%ff", b"/%zz/%", b"/\xff\xfe", b"/items%2Fpopular", b"/health/live%00"])
async def test_any_other_path_that_is_encoded_wrongly_is_not_found(service: Service, path: bytes) -> None:
    async with service.running() as client:
        status, content_type, body = await get_raw(client, path)
    assert (status, content_type) == (404, "application/problem+json")
    assert msgspec.json.decode(body)["code"] == "not_found"


@pytest.mark.parametrize("path", ["/recommendations/user", "/recommendations/user/a/b", "/item"])
async def test_paths_between_the_routes_are_not_found(service: Service, path: str) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        problem_of(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/events", "POST"),
        ("PUT", "/events", "POST"),
        ("POST", "/recommendations/user/u0", "GET"),
        ("POST", "/items/popular", "GET"),
        ("DELETE", "/model", "GET"),
        ("POST", "/health/live", "GET"),
        ("POST", "/health/ready", "GET"),
        ("PATCH", "/metrics", "GET"),
    ],
)
async def test_every_route_refuses_other_methods(service: Service, method: str, path: str, allowed: str) -> None:
    async with service.running() as client:
        response = await client.request(method, path)
    problem_of(response, 405, "method_not_allowed")
    assert allowed in response.headers["allow"].replace(" ", "").split(",")


async def test_a_body_that_is_too_large_is_a_problem(service: Service) -> None:
    async with service.running() as client:
        limit = service.settings.api.max_body_bytes
        problem_of(await client.post("/events", content=b" " * (limit + 1)), 413, "body_too_large")
        problem_of(await client.post("/events", content=b" " * limit), 400, "malformed_body")


async def test_every_route_turns_a_programming_error_into_a_problem(service: Service) -> None:
    service.publish(make_model())
    failing = {"/users/u0": (Snapshot, "state_of"), "/health/ready": (Champion, "reasons")}
    async with service.ready() as client:
        for path, (owner, name) in failing.items():
            with patch.object(owner, name, side_effect=ZeroDivisionError("secret")):
                problem = problem_of(await client.get(path), 500, "internal_error")
            assert problem.keys() == {"type", "title", "status", "code", "detail"}
            assert "secret" not in str(problem)
            assert (await client.get(path)).status_code == 200
