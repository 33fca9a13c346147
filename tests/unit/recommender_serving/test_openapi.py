from hashlib import sha256
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from recommender_serving.access.keys import KeySettings
from recommender_serving.errors import problem_codes
from recommender_serving.settings import AccessSettings
from tests.unit.recommender_serving.service import Service, problem_of

KEY = KeySettings(name="shop", sha256=sha256(b"rk_shop").hexdigest(), scopes=["read"])


async def schema_of(service: Service) -> dict[str, Any]:
    async with service.running() as client:
        schema: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
    return schema


def operations_of(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, path): item for path, methods in schema["paths"].items() for method, item in methods.items()}


async def test_every_operation_can_be_called_by_its_name_and_understood(service: Service) -> None:
    schema = await schema_of(service)
    assert schema["openapi"].startswith("3.1")
    assert schema["info"]["license"]["identifier"] == "MIT"
    operations = operations_of(schema)
    assert {
        ("get", "/recommendations/user/{user_id}"),
        ("get", "/items/popular"),
        ("get", "/items/{item_id}/similar"),
        ("post", "/events"),
        ("delete", "/users/{user_id}"),
        ("get", "/model"),
        ("get", "/health/live"),
        ("get", "/health/ready"),
        ("get", "/metrics"),
    } <= set(operations)
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in schema["tags"]}
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags


@pytest.mark.parametrize(
    ("method", "path", "errors"),
    [
        ("get", "/recommendations/user/{user_id}", {"400", "409", "429", "500", "503"}),
        ("get", "/items/popular", {"400", "429", "500", "503"}),
        ("get", "/items/{item_id}/similar", {"400", "404", "429", "500", "503"}),
        ("post", "/events", {"400", "403", "413", "422", "429", "500", "503"}),
        ("delete", "/users/{user_id}", {"400", "403", "429", "500", "503"}),
        ("get", "/model", {"429", "500", "503"}),
        ("get", "/health/live", {"500"}),
        ("get", "/health/ready", {"500", "503"}),
        ("get", "/metrics", {"500"}),
    ],
)
async def test_every_error_that_a_call_may_meet_is_stated(
    service: Service, method: str, path: str, errors: set[str]
) -> None:
    operation = operations_of(await schema_of(service))[method, path]
    assert {status for status in operation["responses"] if status >= "400"} == errors
    for status in errors:
        content = operation["responses"][status]["content"]
        assert set(content) == {"application/problem+json"}
        assert content["application/problem+json"]["schema"]["$ref"].endswith("ProblemDetails")


async def test_all_codes_are_listed_for_machines_and_for_people(service: Service) -> None:
    schema = await schema_of(service)
    listed = schema["components"]["schemas"]["ProblemDetails"]["properties"]["code"]["enum"]
    assert set(problem_codes()) < set(listed)
    for code, (status, meaning) in problem_codes().items():
        assert f"| `{code}` | {status} | {meaning} |" in schema["info"]["description"]


async def test_keys_and_scopes_are_stated_where_they_are_enforced(service: Service) -> None:
    service.access = AccessSettings(keys=[KEY])
    operations = operations_of(await schema_of(service))
    for operation in operations.values():
        assert ("security" in operation) == ("x-required-scope" in operation) == ("401" in operation["responses"])
    assert operations["post", "/events"]["x-required-scope"] == "write"
    assert operations["delete", "/users/{user_id}"]["x-required-scope"] == "admin"
    assert operations["get", "/model"]["x-required-scope"] == "read"
    assert "security" not in operations["get", "/health/live"]
    service.access = AccessSettings()
    assert all("security" not in operation for operation in operations_of(await schema_of(service)).values())


async def test_headers_are_stated(service: Service) -> None:
    schema = await schema_of(service)
    for operation in operations_of(schema).values():
        for status, response in operation["responses"].items():
            assert "X-Request-ID" in response["headers"]
            assert ("Retry-After" in response["headers"]) == (status in {"429", "503"})
            for header in response["headers"].values():
                assert header["$ref"].rpartition("/")[2] in schema["components"]["headers"]


async def test_the_configured_limits_are_stated(service: Service) -> None:
    schema = await schema_of(service)
    for path in ("/recommendations/user/{user_id}", "/items/popular"):
        parameters = {parameter["name"]: parameter for parameter in schema["paths"][path]["get"]["parameters"]}
        number = parameters["num_recommendations"]["schema"]
        assert (number["minimum"], number["maximum"], number["default"]) == (1, 20, 10)
    body = schema["paths"]["/events"]["post"]["requestBody"]["content"]
    assert body["application/x-ndjson"]["schema"] == {"$ref": "#/components/schemas/Event"}
    rating = schema["components"]["schemas"]["Event"]["properties"]["rating"]["anyOf"][0]
    assert (rating["minimum"], rating["maximum"]) == (0.5, 5.0)


@pytest.mark.parametrize("path", ["/schema/swagger", "/schema/redoc", "/schema/%ff", "/schema/a/b"])
async def test_an_unknown_page_of_the_schema_is_a_problem_too(service: Service, path: str) -> None:
    async with service.running() as client:
        problem_of(await client.get(path), 404, "not_found")


@pytest.mark.parametrize("path", ["/schema", "/schema/openapi.json"])
async def test_the_schema_is_json_at_both_its_addresses(service: Service, path: str) -> None:
    async with service.running() as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert response.json()["info"]["title"] == "Recommender"


async def test_a_request_names_exactly_one_kind_of_recipient(service: Service) -> None:
    schema = (await schema_of(service))["components"]["schemas"]["RecommendationRequest"]
    validator = Draft202012Validator({"not": schema["not"]})
    for body in ({"user_id": "u"}, {"users": ["u"], "user_id": None}, {"items": []}):
        assert validator.is_valid(body), body
    for body in ({}, {"user_id": None}, {"user_id": "u", "items": []}, {"users": ["u"], "user_id": "u"}):
        assert not validator.is_valid(body), body
