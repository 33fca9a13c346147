import logging
from unittest.mock import patch

import pytest

from recommender_serving.snapshot import Snapshot
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service


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


async def test_the_schema_describes_every_route(service: Service) -> None:
    async with service.running() as client:
        schema = (await client.get("/schema")).json()
    assert schema["openapi"].startswith("3.1")
    assert set(schema["paths"]) == {
        "/recommendations/user/{user_id}",
        "/items/popular",
        "/events",
        "/model",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    recommendations = schema["paths"]["/recommendations/user/{user_id}"]["get"]
    parameters = {parameter["name"]: parameter for parameter in recommendations["parameters"]}
    assert parameters["num_recommendations"]["schema"]["maximum"] == 20
    assert {"200", "400", "503"} <= set(recommendations["responses"])
    body = schema["paths"]["/events"]["post"]["requestBody"]["content"]
    assert "user_id" in body["application/x-ndjson"]["schema"]["properties"]
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
