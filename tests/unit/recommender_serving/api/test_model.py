from recommender_serving.engine.factor_model import Position
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, event_json, metric, until


async def test_model_tells_identity_quality_and_positions(service: Service) -> None:
    position = Position(table_versions={"interactions": 3}, topic="user_interactions", next_offsets={"0": 2})
    model = make_model(n_users=4, n_items=9, position=position)
    for _ in range(3):
        service.topic.append(event_json())
    service.publish(model, predecessor="svd-before")
    async with service.ready() as client:
        answer = (await client.get("/model")).json()
    assert answer["version"] == model.version
    assert answer["algorithm"] == "svd"
    assert answer["predecessor"] == "svd-before"
    assert (answer["n_users"], answer["n_items"]) == (4, 9)
    assert answer["metrics"] == {"rmse": 0.9}
    assert answer["trained_up_to"]["next_offsets"] == {"0": 2}
    assert answer["trained_up_to"]["table_versions"] == {"interactions": 3}
    assert answer["live"]["state"] == "live"
    assert answer["live"]["next_offsets"] == {"0": 3}


async def test_model_follows_the_pointer(service: Service) -> None:
    first, second = make_model(seed=1), make_model(seed=2)
    service.publish(first)
    async with service.ready() as client:
        service.publish(second, predecessor=first.version)

        async def swapped() -> bool:
            return (await client.get("/model")).json()["version"] == second.version

        await until(swapped)
        assert (await client.get("/model")).json()["predecessor"] == first.version


async def test_without_a_champion_the_answer_is_503(service: Service) -> None:
    async with service.running() as client:
        response = await client.get("/model")
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")


async def test_model_tells_the_lag_and_what_it_was_trained_with(service: Service) -> None:
    model = make_model(position=Position(topic="user_interactions", topic_id="topic-a", next_offsets={"0": 0}))
    service.publish(model)
    async with service.ready() as client:
        answer = (await client.get("/model")).json()
    assert answer["hyper_parameters"] == {"factors": 4}
    assert answer["created_at"] == model.manifest.created_at
    assert answer["promoted_at"] == "2024-01-02T00:00:00Z"
    assert answer["predecessor"] is None
    assert answer["trained_up_to"]["topic_id"] == "topic-a"
    assert answer["live"] == {"state": "live", "topic_id": "topic-a", "next_offsets": {"0": 0}, "lag_records": 0}


async def test_a_lag_shows_in_the_model_and_the_metrics_and_goes(service: Service) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        for lag in (7, 0):
            service.topic.lag = lag

            async def told(lag: int = lag) -> bool:
                return (await client.get("/model")).json()["live"]["lag_records"] == lag

            await until(told)
            assert await metric(client, "recommender_live_lag_records") == lag
