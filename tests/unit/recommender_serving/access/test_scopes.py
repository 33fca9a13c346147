import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.routes import HTTPRoute

from recommender_serving.access import scopes
from recommender_serving.access.scopes import required_scope
from recommender_serving.app import create_app
from tests.unit.recommender_serving.service import Service


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/", None),
        ("GET", "/docs", None),
        ("GET", "/page/page.js", None),
        ("GET", "/schema", None),
        ("GET", "/schema/openapi.json", None),
        ("GET", "/health/live", None),
        ("GET", "/health/ready", None),
        ("GET", "/metrics", None),
        ("GET", "/model", "read"),
        ("GET", "/recommendations/user/u0", "read"),
        ("GET", "/users/u0", "read"),
        ("GET", "/items/popular", "read"),
        ("GET", "/nowhere", "read"),
        ("POST", "/recommendations", "read"),
        ("POST", "/events", "write"),
        ("POST", "/recommendations/", "write"),
        ("PUT", "/recommendations", "write"),
        ("PATCH", "/", "write"),
        ("DELETE", "/users/u0", "admin"),
        ("DELETE", "/", "admin"),
    ],
)
def test_method_and_path_decide(method: str, path: str, scope: str | None) -> None:
    assert required_scope(method, path) == scope


@given(st.sampled_from(["POST", "PUT", "PATCH", "OPTIONS", "get", "post", "TRACE", "QUERY"]), st.text())
def test_a_method_that_may_change_something_is_never_open(method: str, path: str) -> None:
    assert required_scope(method, path) is not None


def test_every_rule_is_about_a_route_and_every_route_that_changes_something_needs_a_key(service: Service) -> None:
    app = create_app(service.settings, service.topic.follower, service.topic.publisher)
    routes = {(method, route.path) for route in app.routes if isinstance(route, HTTPRoute) for method in route.methods}
    paths = {path for _, path in routes}
    assert paths >= scopes._OPEN_PATHS
    for folder in scopes._OPEN_FOLDERS:
        assert any(path.startswith(folder) for path in paths), folder
    for path in scopes._QUESTIONS_WITH_A_BODY:
        assert ("POST", path) in routes
    needed = {route: required_scope(*route) for route in routes if route[0] != "OPTIONS"}
    assert {route for route, scope in needed.items() if scope == "admin"} == {("DELETE", "/users/{user_id:str}")}
    assert {route for route, scope in needed.items() if scope == "write"} == {("POST", "/events")}
    opened = {path for (_, path), scope in needed.items() if scope is None}
    assert opened == {path for path in paths if path in scopes._OPEN_PATHS or path.startswith(("/page/", "/schema"))}
    assert not any("{user_id" in path or path.startswith(("/items", "/model")) for path in opened)
