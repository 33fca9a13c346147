import pytest
from litestar.types import Receive, Scope, Send
from prometheus_client import generate_latest

from recommender_serving.metrics import Metrics, RequestTimer


async def call(timer: RequestTimer, **scope: object) -> None:
    async def nothing(*_: object) -> None:
        return None

    await timer({"type": "http", "method": "GET", **scope}, nothing, nothing)  # type: ignore[arg-type]


def answering(status: int) -> object:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    return app


async def test_requests_are_counted_by_method_template_and_status() -> None:
    metrics = Metrics()
    timer = RequestTimer(answering(201), metrics)  # type: ignore[arg-type]
    for _ in range(2):
        await call(timer, path_template="/users/{id}", path="/users/7")
    text = generate_latest(metrics.registry).decode()
    series = 'recommender_http_request_duration_seconds_count{method="GET",route="/users/{id}",status="201"}'
    assert f"{series} 2.0" in text


async def test_invented_methods_and_paths_make_no_new_series() -> None:
    metrics = Metrics()
    timer = RequestTimer(answering(404), metrics)  # type: ignore[arg-type]
    for number in range(5):
        await call(timer, method=f"M{number}", path=f"/{number}")
    text = generate_latest(metrics.registry).decode()
    assert 'count{method="other",route="unmatched",status="404"} 5.0' in text


async def test_a_request_that_breaks_off_counts_as_500() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionError

    metrics = Metrics()
    with pytest.raises(ConnectionError):
        await call(RequestTimer(broken, metrics))
    assert 'status="500"} 1.0' in generate_latest(metrics.registry).decode()
