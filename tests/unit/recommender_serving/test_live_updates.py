import asyncio

from recommender_serving.engine.factor_model import Position
from tests.factories import make_model
from tests.unit.recommender_serving.service import Client, Service, event_json, is_status, items_of, recommend, until


def model_at(offset: int, topic_id: str = "", version: str = "svd-model") -> object:
    position = Position(topic="user_interactions", topic_id=topic_id, next_offsets={"0": offset})
    return make_model(n_users=6, n_items=40, version=version, position=position)


async def status(client: Client) -> str:
    return str((await client.get("/health/ready")).json())


async def test_everything_after_the_position_is_replayed_before_the_service_is_ready(service: Service) -> None:
    for number in range(200):
        service.topic.append(event_json(user_id=f"user{number}"))
    service.publish(model_at(50))
    async with service.ready() as client:
        assert (await recommend(client, "user49"))["source"] == "popular"
        for number in (50, 120, 199):
            assert (await recommend(client, f"user{number}"))["source"] == "folded_in"


async def test_until_the_end_is_reached_the_service_says_what_it_waits_for(service: Service) -> None:
    service.topic.append(event_json(user_id="late"))
    service.topic.readable.clear()
    service.publish(model_at(0))
    async with service.running() as client:

        async def reading() -> bool:
            response = await client.get("/recommendations/user/late")
            return response.status_code == 503 and "are being read" in response.json()["detail"]

        await until(reading)
        await asyncio.sleep(0.05)
        assert await reading()
        service.topic.readable.set()
        await until(lambda: is_status(client, 200))
        assert (await recommend(client, "late"))["source"] == "folded_in"


async def test_records_that_are_no_events_are_counted_and_skipped(service: Service) -> None:
    service.publish(model_at(0))
    for value in (b"not json", None, event_json(rating=17), event_json(user_id="fine")):
        service.topic.append(value)
    async with service.ready() as client:
        assert (await recommend(client, "fine"))["source"] == "folded_in"
        metrics = (await client.get("/metrics")).text
    assert 'recommender_live_records_total{result="applied"}' in metrics
    assert 'recommender_live_records_total{result="rejected"}' in metrics


async def test_without_kafka_the_service_starts_degraded_and_catches_up_later(service: Service) -> None:
    service.publish(model_at(0))
    service.topic.available.clear()
    service.topic.append(event_json(user_id="waiting"))
    async with service.ready() as client:
        assert "kafka_unreachable" in await status(client)
        assert (await recommend(client, "u0"))["source"] == "personalized"
        assert (await recommend(client, "waiting"))["source"] == "popular"
        service.topic.available.set()

        async def caught_up() -> bool:
            return (await recommend(client, "waiting"))["source"] == "folded_in"

        await until(caught_up)
        assert "kafka_unreachable" not in await status(client)


async def test_losing_kafka_later_is_stated_and_lists_go_on(service: Service) -> None:
    service.publish(model_at(0))
    async with service.ready() as client:
        service.topic.available.clear()

        async def stated() -> bool:
            return "kafka_unreachable" in await status(client)

        await until(stated)
        assert (await recommend(client, "u0"))["source"] == "personalized"


async def test_a_replaced_topic_is_stated_and_its_events_do_not_count(service: Service) -> None:
    service.publish(model_at(0, topic_id="topic-before"))
    service.topic.append(event_json(user_id="stranger"))
    async with service.ready() as client:
        assert "topic_replaced" in await status(client)
        assert (await recommend(client, "stranger"))["source"] == "popular"
        sent = await client.post("/events", content=event_json(user_id="stranger", item_id="i05"))
        assert sent.json()["accepted"] == 1, "stored in Kafka, for the model that knows the new topic"
        assert (await recommend(client, "stranger"))["source"] == "popular"
        service.publish(model_at(0, topic_id="topic-a", version="svd-next"))

        async def counts() -> bool:
            return (await recommend(client, "stranger"))["source"] == "folded_in"

        await until(counts)


async def test_expired_events_are_stated_and_the_rest_counts(service: Service) -> None:
    service.topic.first_offset = 30
    service.topic.append(event_json(user_id="there"))
    service.publish(model_at(10))
    async with service.ready() as client:
        assert "offsets 10 to 29 have expired" in await status(client)
        assert "events_lost" in await status(client)
        assert (await recommend(client, "there"))["source"] == "folded_in"


async def test_an_event_counts_once_however_often_it_arrives(service: Service) -> None:
    """The memory topic hands over all its records again and again; the answer must not move."""
    service.publish(model_at(0))
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id="new", item_id="i03"))
        first = await recommend(client, "new")
        second = await recommend(client, "new")
    assert items_of(first) == items_of(second)
    assert [e["score"] for e in first["recommendations"]] == [e["score"] for e in second["recommendations"]]
