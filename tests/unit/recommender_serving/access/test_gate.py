"""Keys, scopes, request ids, limits and origins through the whole application."""

import json
import logging
import re
from hashlib import sha256
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
from litestar.types import Receive, Scope, Send
from prometheus_client import generate_latest

from recommender_serving.access.gate import RequestGate
from recommender_serving.access.keys import KeySettings
from recommender_serving.logs import JsonLines
from recommender_serving.metrics import Metrics
from recommender_serving.settings import AccessSettings, LogSettings
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, event_json, problem_of


def key(name: str, *scopes: Any) -> KeySettings:
    return KeySettings(name=name, sha256=sha256(f"rk_{name}".encode()).hexdigest(), scopes=list(scopes))


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer rk_{name}"}


@pytest.fixture
def guarded(service: Service) -> Service:
    """A service with a model that knows a reading, a writing and an administrating key."""
    service.publish(make_model())
    service.access = AccessSettings(
        keys=[key("reader", "read"), key("writer", "write"), key("chief", "read", "write", "admin")]
    )
    return service


async def test_with_keys_every_call_about_users_needs_one_of_the_right_scope(guarded: Service) -> None:
    async with guarded.ready() as client:
        for method, path, needed in (
            ("GET", "/recommendations/user/u0", "reader"),
            ("GET", "/items/popular", "reader"),
            ("GET", "/model", "reader"),
            ("POST", "/events", "writer"),
        ):
            body = event_json() if method == "POST" else None
            for headers in ({}, bearer("nobody"), {"X-API-Key": "rk_"}, {"Authorization": "Basic cmtfcmVhZGVy"}):
                refused = await client.request(method, path, content=body, headers=headers)
                problem_of(refused, 401, "unauthenticated")
                assert refused.headers["www-authenticate"] == "Bearer"
            other = "writer" if needed == "reader" else "reader"
            problem = problem_of(
                await client.request(method, path, content=body, headers=bearer(other)), 403, "forbidden"
            )
            scope = {"reader": "read", "writer": "write"}[needed]
            assert f"needs the scope {scope};" in problem["detail"]
            for name in (needed, "chief"):
                assert (await client.request(method, path, content=body, headers=bearer(name))).status_code == 200, (
                    method,
                    path,
                )
        assert (await client.get("/model", headers={"X-API-Key": "rk_reader"})).status_code == 200
        assert (await client.get("/model", headers={"authorization": "bearer  rk_reader"})).status_code == 200


async def test_a_key_of_any_scope_but_admin_may_not_delete(guarded: Service) -> None:
    async with guarded.ready() as client:
        problem_of(await client.delete("/users/u0", headers=bearer("writer")), 403, "forbidden")


async def test_health_metrics_and_documentation_need_no_key(guarded: Service) -> None:
    async with guarded.ready() as client:
        for path in ("/health/live", "/health/ready", "/metrics", "/schema"):
            assert (await client.get(path)).status_code == 200


async def test_no_log_line_holds_a_key(guarded: Service, caplog: pytest.LogCaptureFixture) -> None:
    async with guarded.ready() as client:
        with caplog.at_level(logging.DEBUG):
            await client.get("/model", headers=bearer("reader"))
            await client.get("/model", headers={"X-API-Key": "rk_wrong"})
    assert "rk_" not in caplog.text


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
async def test_without_keys_this_machine_may_write(service: Service, peer: str) -> None:
    service.peer = peer
    async with service.running() as client:
        assert (await client.post("/events", content=event_json())).status_code == 200


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "testclient", ""])
async def test_without_keys_other_machines_may_only_read(service: Service, peer: str) -> None:
    service.peer = peer
    service.publish(make_model())
    async with service.ready() as client:
        problem = problem_of(await client.post("/events", content=event_json()), 403, "forbidden")
        assert "access.keys" in problem["detail"]
        assert (await client.get("/recommendations/user/u0")).status_code == 200
    assert service.topic.records == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_without_keys_neither_a_proxy_nor_a_foreign_page_writes_through_this_machine(
    service: Service, headers: dict[str, str]
) -> None:
    async with service.running() as client:
        problem_of(await client.post("/events", content=event_json(), headers=headers), 403, "forbidden")
        own = {"Origin": "http://localhost:8000"}
        assert (await client.post("/events", content=event_json(), headers=own)).status_code == 200


async def test_a_request_id_is_taken_over_or_made(service: Service) -> None:
    async with service.running() as client:
        taken = await client.get("/health/live", headers={"X-Request-ID": "order-17.a_B"})
        assert taken.headers["x-request-id"] == "order-17.a_B"
        made = [(await client.get("/health/live")).headers["x-request-id"] for _ in range(3)]
        assert len(set(made)) == 3
        for bad in ("", "a b", "x" * 129, 'quo"te', "<script>"):
            answer = await client.get("/health/live", headers={"X-Request-ID": bad})
            assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])


async def test_errors_of_every_layer_carry_the_request_id(guarded: Service) -> None:
    async with guarded.ready() as client:
        for path in ("/model", "/health/nothing", "/recommendations/user/u0?num_recommendations=0"):
            answer = await client.get(path, headers={"X-Request-ID": "mine", **bearer("reader")})
            assert answer.headers["x-request-id"] == "mine"
        assert (await client.get("/model", headers={"X-Request-ID": "mine"})).headers["x-request-id"] == "mine"


async def test_lines_logged_during_a_request_carry_its_id_and_no_user(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.setFormatter(JsonLines())
    handler.emit = lambda record: lines.append(json.loads(handler.format(record)))  # type: ignore[method-assign]
    logging.getLogger("recommender_serving").addHandler(handler)
    service.logging = msgspec.structs.replace(service.logging, slow_request_milliseconds=1e-6)
    service.publish(make_model())
    try:
        async with service.ready() as client:
            await client.get("/recommendations/user/a-secret-user", headers={"X-Request-ID": "mine"})
    finally:
        logging.getLogger("recommender_serving").removeHandler(handler)
    [line] = [line for line in lines if line.get("request_id") == "mine"]
    assert (line["level"], line["message"], line["status"]) == ("warning", "request took long", 200)
    assert (line["method"], line["route"]) == ("GET", "/recommendations/user/{user_id}")
    assert line["milliseconds"] > 0
    assert "a-secret-user" not in json.dumps(lines)


async def test_at_debug_level_every_request_has_a_line_with_its_path(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.logging = msgspec.structs.replace(service.logging, level="debug")
    with caplog.at_level(logging.DEBUG):
        async with service.running() as client:
            await client.get("/recommendations/user/u0")
    [record] = [record for record in caplog.records if getattr(record, "status", 0) == 503]
    assert (record.getMessage(), record.path) == ("request", "/recommendations/user/u0")  # type: ignore[attr-defined]


async def test_a_caller_beyond_the_rate_gets_429_and_others_do_not(guarded: Service) -> None:
    guarded.access = msgspec.structs.replace(guarded.access, requests_per_second=0.01, burst=2)
    async with guarded.ready() as client:
        for _ in range(2):
            assert (await client.get("/model", headers=bearer("reader"))).status_code == 200
        limited = await client.get("/model", headers=bearer("reader"))
        problem_of(limited, 429, "rate_limited")
        assert 0 < int(limited.headers["retry-after"]) <= 100
        assert (await client.get("/model", headers=bearer("chief"))).status_code == 200
        problem_of(await client.get("/model"), 401, "unauthenticated")
        assert (await client.get("/health/ready")).status_code == 200


async def test_an_allowed_page_may_ask_first_and_read_answers_and_errors(service: Service) -> None:
    service.access = AccessSettings(allowed_origins=["https://shop.example"])
    asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    async with service.running() as client:
        preflight = await client.options("/events", headers=asking)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        assert "POST" in preflight.headers["access-control-allow-methods"]
        refused = await client.get("/recommendations/user/u0", headers={"Origin": "https://shop.example"})
        assert refused.status_code == 503
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        foreign = await client.options("/events", headers={**asking, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foreign.headers
        assert "access-control-allow-origin" not in (await client.get("/health/live")).headers


async def test_a_request_whose_answer_breaks_off_counts_as_500_unless_it_had_a_status() -> None:
    metrics = Metrics()

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
        raise ConnectionError

    async def nothing(*_: object) -> None:
        return None

    gate = RequestGate(AsyncMock(**{"answer.return_value": None}), broken, AccessSettings(), LogSettings(), metrics)
    for path in (b"/model", b"/begun"):
        scope = {"type": "http", "method": "GET", "path": "", "raw_path": path, "headers": []}
        with pytest.raises(ConnectionError):
            await gate(scope, nothing, nothing)  # type: ignore[arg-type]
    page = generate_latest(metrics.registry).decode()
    for status in (200, 500):
        labels = f'method="GET",route="unmatched",status="{status}"'
        assert f"recommender_http_request_duration_seconds_count{{{labels}}} 1.0" in page


async def test_what_is_no_request_passes_unchanged() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope))

    gate = RequestGate(AsyncMock(), app, AccessSettings(), LogSettings(), Metrics())
    await gate({"type": "lifespan"}, None, None)  # type: ignore[arg-type, typeddict-item]
    assert seen == [{"type": "lifespan"}]
