from prometheus_client import generate_latest

from recommender_serving.metrics import Metrics, RequestDurations

COUNT = "recommender_http_request_duration_seconds_count"


def exposed(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def request(**scope: object) -> dict[str, object]:
    return {"type": "http", "method": "GET", **scope}


def test_requests_are_counted_by_method_template_and_status() -> None:
    metrics = Metrics()
    durations = RequestDurations(metrics)
    for seconds in (0.5, 0.25):
        durations.observe(request(path_template="/users/{id}", path="/users/7"), 201, seconds)  # type: ignore[arg-type]
    labels = 'method="GET",route="/users/{id}",status="201"'
    assert f"{COUNT}{{{labels}}} 2.0" in exposed(metrics)
    assert f"recommender_http_request_duration_seconds_sum{{{labels}}} 0.75" in exposed(metrics)


def test_invented_methods_and_paths_make_no_new_series() -> None:
    metrics = Metrics()
    durations = RequestDurations(metrics)
    for number in range(5):
        durations.observe(request(method=f"M{number}", path=f"/{number}"), 404, 0.1)  # type: ignore[arg-type]
    assert f'{COUNT}{{method="other",route="unmatched",status="404"}} 5.0' in exposed(metrics)
    assert exposed(metrics).count(COUNT + "{") == 1
    assert not durations._series, "an invented method must take no memory"
