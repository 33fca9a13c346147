from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, is_status, recommend, until


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
