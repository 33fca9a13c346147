import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.access.scopes import required_scope


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
