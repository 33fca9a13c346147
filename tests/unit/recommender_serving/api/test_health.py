import pytest

from tests.factories import make_model
from tests.unit.recommender_serving.service import (
    Service,
    event_json,
    is_status,
    metric,
    problem_of,
    recommend,
    until,
)


async def test_alive_without_a_champion_but_not_ready(service: Service) -> None:
    async with service.running() as client:
        assert (await client.get("/health/live")).json() == {"status": "live", "reasons": []}
        response = await client.get("/health/ready")
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")


async def test_ready_once_the_champion_serves(service: Service) -> None:
    async with service.running() as client:
        service.publish(make_model())
        await until(lambda: is_status(client, 200))
        assert (await client.get("/health/ready")).json() == {"status": "ready", "reasons": []}


async def test_metrics_count_requests_by_template_and_tell_the_champion(service: Service) -> None:
    model = make_model()
    service.publish(model)
    async with service.ready() as client:
        for user in ("u0", "u1", "somebody"):
            await recommend(client, user)
        await client.get("/no/such/route")
        await client.post("/model")
        response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    duration = "recommender_http_request_duration_seconds_count"
    assert f'{duration}{{method="GET",route="/recommendations/user/{{user_id}}",status="200"}} 3.0' in text
    assert f'{duration}{{method="GET",route="unmatched",status="404"}} 1.0' in text
    assert f'{duration}{{method="POST",route="unmatched",status="405"}} 1.0' in text
    assert f'recommender_champion_info{{algorithm="svd",version="{model.version}"}} 1.0' in text
    assert 'recommender_recommendations_total{source="popular"} 1.0' in text
    assert 'recommender_recommendations_total{source="personalized"} 2.0' in text
    assert "recommender_champion_swaps_total 1.0" in text
    assert "recommender_ready 1.0" in text
    assert 'recommender_degraded{reason="champion_refused"} 0.0' in text
    assert "somebody" not in text


@pytest.mark.parametrize("path", ["/health/ready", "/model", "/items/popular", "/recommendations/user/u0"])
async def test_without_a_champion_every_route_says_when_to_ask_again(service: Service, path: str) -> None:
    async with service.running() as client:
        response = await client.get(path)
        assert "no champion has been promoted yet" in problem_of(response, 503, "not_ready")["detail"]
        assert response.headers["retry-after"] == "1"
        assert await metric(client, "recommender_ready") == 0


async def test_all_that_is_amiss_is_stated_at_once(service: Service) -> None:
    service.topic.first_offset = 5
    service.publish(make_model())
    async with service.ready() as client:
        service.promote("svd-missing")

        async def reasons() -> set[str]:
            return {reason["code"] for reason in (await client.get("/health/ready")).json()["reasons"]}

        async def both() -> bool:
            return await reasons() == {"events_lost", "champion_refused"}

        await until(both)
        health = (await client.get("/health/ready")).json()
        assert health["status"] == "degraded"
        details = {reason["code"]: reason["detail"] for reason in health["reasons"]}
        assert "offsets 0 to 4 have expired" in details["events_lost"]
        assert "svd-missing" in details["champion_refused"]
        for code in ("events_lost", "champion_refused"):
            assert await metric(client, f'recommender_degraded{{reason="{code}"}}') == 1
        for code in ("kafka_unreachable", "topic_replaced"):
            assert await metric(client, f'recommender_degraded{{reason="{code}"}}') == 0
        service.topic.available.clear()

        async def unreachable() -> bool:
            return await metric(client, 'recommender_degraded{reason="kafka_unreachable"}') == 1

        await until(unreachable)
        assert "kafka_unreachable" in await reasons()


async def test_every_metric_is_there_and_moves(service: Service) -> None:
    model = make_model(n_items=40)
    service.publish(model)
    requests = 'recommender_http_request_duration_seconds_count{method="POST",route="/events",status="200"}'
    moved_by_one_event = {
        requests: 1,
        'recommender_events_total{result="accepted"}': 1,
        'recommender_events_total{result="duplicate"}': 2,
        'recommender_events_total{result="rejected"}': 1,
        'recommender_events_total{result="failed"}': 0,
        'recommender_recommendations_total{source="folded_in"}': 1,
        'recommender_recommendations_total{source="personalized"}': 0,
        "recommender_user_solve_duration_seconds_count": 1,
        "recommender_champion_swaps_total": 0,
        "recommender_refused_models_total": 0,
    }
    async with service.ready() as client:
        before = {series: await metric(client, series) for series in moved_by_one_event}
        service.topic.readable.clear()
        applied = await metric(client, 'recommender_live_records_total{result="applied"}')
        await client.post("/events", content=b"\n".join([event_json()] * 3 + [b"nonsense"]))
        assert await metric(client, 'recommender_live_records_total{result="applied"}') == applied + 1
        await recommend(client, "u0")
        after = {series: await metric(client, series) for series in moved_by_one_event}
        assert {series: after[series] - before[series] for series in after} == moved_by_one_event
        service.promote("svd-missing")

        async def counted() -> bool:
            return await metric(client, "recommender_refused_models_total") == 1

        await until(counted)
        service.publish(make_model(n_items=40, seed=3))

        async def swapped() -> bool:
            return await metric(client, "recommender_champion_swaps_total") == 2

        await until(swapped)
        text = (await client.get("/metrics")).text
    assert f'version="{model.version}"' not in text
    assert "recommender_live_lag_records 0.0" in text
    assert "process_resident_memory_bytes" in text


async def test_failed_requests_are_timed_by_their_status(service: Service) -> None:
    series = 'recommender_http_request_duration_seconds_count{{method="{}",route="{}",status="{}"}}'
    expected = [
        ("GET", "/recommendations/user/{user_id}", 503),
        ("GET", "/health/ready", 503),
        ("GET", "/model", 503),
        ("POST", "/events", 400),
        ("GET", "unmatched", 404),
    ]
    async with service.running() as client:
        for path in ("/recommendations/user/u0", "/health/ready", "/model", "/nowhere"):
            await client.get(path)
        await client.post("/events", content=b"")
        assert [await metric(client, series.format(*labels)) for labels in expected] == [1] * 5
