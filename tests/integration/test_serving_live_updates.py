"""The service against a real broker: replay, live folding, transactions, a topic that comes late or is replaced."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from litestar import Litestar
from litestar.testing import AsyncTestClient

from recommender_serving.app import create_app
from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.config import ApiSettings, StorageSettings, StreamingSettings
from recommender_serving.engine.factor_model import FactorModel, Position, write_model
from recommender_serving.settings import ChampionSettings, Settings
from tests.factories import make_model
from tests.unit.recommender_serving.service import from_address

Client = AsyncTestClient[Litestar]


class Kafka:
    """One topic on the real broker, not created yet."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topic = f"serving_{uuid.uuid4().hex[:8]}"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 1})

    def create(self, partitions: int = 2) -> None:
        new = NewTopic(self.topic, partitions, 1, config={"message.timestamp.type": "LogAppendTime"})
        self.admin.create_topics([new])[self.topic].result(10)

    def delete(self) -> None:
        self.admin.delete_topics([self.topic])[self.topic].result(10)

    def send(self, *events: bytes, producer: Producer | None = None) -> None:
        for event in events:
            key = str(msgspec.json.decode(event)["user_id"]).encode()
            (producer or self.producer).produce(self.topic, event, key=key)
        (producer or self.producer).flush(10)


@pytest.fixture
def kafka(kafka_bootstrap: str) -> Kafka:
    return Kafka(kafka_bootstrap)


def event(user_id: str, item_id: str = "i03", **fields: Any) -> bytes:
    defaults = {"user_id": user_id, "item_id": item_id, "rating": 5.0, "timestamp": "2024-01-01T12:00:00Z"}
    return msgspec.json.encode({**defaults, **fields})


def champion(root: Path, offsets: dict[str, int], topic_id: str = "", version: str = "svd-first") -> FactorModel:
    position = Position(topic="user_interactions", topic_id=topic_id, next_offsets=offsets)
    model = make_model(n_users=6, n_items=40, version=version, position=position)
    write_model(version_directory(root, version), model)
    pointer = ChampionPointer(version=version, predecessor=None, deployed={}, promoted_at="2024-01-02T00:00:00Z")
    write_pointer(root, pointer)
    return model


@asynccontextmanager
async def serving(root: Path, kafka: Kafka, event_timeout_seconds: float = 5.0) -> AsyncIterator[Client]:
    settings = Settings(
        storage=StorageSettings(root=str(root)),
        streaming=StreamingSettings(kafka_bootstrap_servers=kafka.bootstrap, topic=kafka.topic),
        api=ApiSettings(event_timeout_seconds=event_timeout_seconds),
        champion=ChampionSettings(poll_interval_seconds=0.05),
    )
    app = create_app(settings)
    app.asgi_handler = from_address("127.0.0.1", app.asgi_handler)
    async with AsyncTestClient(app) as client:
        yield client


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> float:
    """Wait until a condition holds; returns the seconds that it took."""
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() < started + seconds, "the condition was not met in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def ready(client: Client) -> bool:
    return (await client.get("/health/ready")).status_code == 200


async def state(client: Client) -> str:
    return str((await client.get("/health/ready")).json())


async def source(client: Client, user_id: str) -> str:
    return str((await client.get(f"/recommendations/user/{user_id}")).json().get("source"))


async def live_state(client: Client) -> str:
    return str((await client.get("/model")).json()["live"]["state"])


async def test_records_after_the_position_are_replayed_before_the_service_is_ready(
    kafka: Kafka, tmp_path: Path
) -> None:
    kafka.create(partitions=1)
    kafka.send(*(event(f"user{number}") for number in range(500)))
    champion(tmp_path, {"0": 100})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        assert [await source(client, user) for user in ("user99", "user100", "user499")] == [
            "popular",
            "folded_in",
            "folded_in",
        ]
        assert (await client.get("/model")).json()["live"]["next_offsets"] == {"0": 500}


async def test_an_event_through_kafka_changes_the_list_within_a_second(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create()
    champion(tmp_path, {})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        kafka.send(event("through-kafka"))

        async def folded_in() -> bool:
            return await source(client, "through-kafka") == "folded_in"

        assert await until(folded_in) < 1.0


async def test_posted_events_are_in_the_topic_and_in_the_next_list(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create()
    champion(tmp_path, {})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        users = [f"poster{number}" for number in range(20)]
        response = await client.post("/events", content=b"\n".join(event(user) for user in users))
        assert response.json() == {"accepted": 20, "duplicate": 0, "rejected": 0, "rejections": []}
        assert {await source(client, user) for user in users} == {"folded_in"}

        async def read_up() -> bool:
            return sum((await client.get("/model")).json()["live"]["next_offsets"].values()) == 20

        await until(read_up)
        again = await client.post("/events", content=event(users[0]))
        assert again.json()["duplicate"] == 1


async def test_a_user_has_one_partition_whoever_writes(kafka: Kafka, tmp_path: Path) -> None:
    """`forget` works by offset within a partition, so the service and other producers must agree on it."""
    kafka.create(partitions=4)
    champion(tmp_path, {})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        users = [f"user{number}" for number in range(12)]
        kafka.send(*(event(user) for user in users))
        await client.post("/events", content=b"\n".join(event(user, event_type="forget") for user in users))

        async def all_forgotten() -> bool:
            return {await source(client, user) for user in users} == {"popular"}

        await until(all_forgotten)


async def test_aborted_transactions_do_not_count_and_their_markers_do_not_block(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create(partitions=1)
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.topic, "log_level": 2})
    writer.init_transactions(20)
    writer.begin_transaction()
    kafka.send(event("aborted"), producer=writer)
    writer.abort_transaction(20)
    writer.begin_transaction()
    kafka.send(event("committed"), producer=writer)
    writer.commit_transaction(20)
    champion(tmp_path, {"0": 0})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        assert await source(client, "committed") == "folded_in"
        assert await source(client, "aborted") == "popular"
        assert (await client.get("/model")).json()["live"]["lag_records"] == 0


async def test_a_topic_that_does_not_exist_yet_is_read_from_its_beginning_when_it_appears(
    kafka: Kafka, tmp_path: Path
) -> None:
    champion(tmp_path, {})
    async with serving(tmp_path, kafka, event_timeout_seconds=1.0) as client:
        await until(lambda: ready(client))
        assert await state(client) == "{'status': 'ready', 'reasons': []}"
        response = await client.post("/events", content=event("too-early"))
        assert (response.status_code, response.json()["code"]) == (503, "events_not_stored")
        kafka.create()
        kafka.send(event("first"))

        async def folded_in() -> bool:
            return await source(client, "first") == "folded_in"

        await until(folded_in)


async def test_a_topic_that_is_created_anew_is_noticed_and_not_followed(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create(partitions=1)
    kafka.send(event("before"))
    champion(tmp_path, {"0": 0})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        assert await source(client, "before") == "folded_in"
        kafka.delete()

        async def missing() -> bool:
            return await live_state(client) == "topic_missing"

        await until(missing)
        kafka.create(partitions=1)
        kafka.send(*(event("after", f"i{number:02d}") for number in range(5)))

        async def replaced() -> bool:
            return "topic_replaced" in await state(client)

        await until(replaced)
        assert await source(client, "before") == "folded_in"
        assert await source(client, "after") == "popular"


async def test_expired_records_are_stated_and_later_ones_count(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create(partitions=1)
    kafka.send(*(event(f"user{number}") for number in range(30)))
    from confluent_kafka import TopicPartition

    expired = kafka.admin.delete_records([TopicPartition(kafka.topic, 0, 20)])
    for future in expired.values():
        future.result(10)
    champion(tmp_path, {"0": 5})
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        assert "offsets 5 to 19 have expired" in await state(client)
        assert await source(client, "user19") == "popular"
        assert await source(client, "user20") == "folded_in"


async def test_a_rollback_reads_the_missing_part_from_kafka(kafka: Kafka, tmp_path: Path) -> None:
    kafka.create(partitions=1)
    kafka.send(*(event(f"user{number}") for number in range(10)))
    champion(tmp_path, {"0": 0}, version="svd-older")
    champion(tmp_path, {"0": 8}, version="svd-newer")
    async with serving(tmp_path, kafka) as client:
        await until(lambda: ready(client))
        assert [await source(client, user) for user in ("user2", "user9")] == ["popular", "folded_in"]
        write_pointer(
            tmp_path,
            ChampionPointer(version="svd-older", predecessor=None, deployed={}, promoted_at="2024-01-03T00:00:00Z"),
        )

        async def rolled_back() -> bool:
            return str((await client.get("/model")).json()["version"]) == "svd-older"

        assert await until(rolled_back) < 5.0
        assert [await source(client, user) for user in ("user2", "user9")] == ["folded_in", "folded_in"]


async def test_two_replicas_that_have_seen_the_same_events_answer_alike(kafka: Kafka, tmp_path: Path) -> None:
    """Each takes half of the events itself, some twice, and reads the rest; a third one reads them all later."""
    kafka.create()
    champion(tmp_path, {})
    users = [*(f"u{number}" for number in range(6)), *(f"new{number}" for number in range(20))]
    sent = [
        event(user, f"i{(number * 7 + turn) % 40:02d}", event_type=kind, timestamp=1_704_100_000 + number + turn)
        for number, user in enumerate(users)
        for turn, kind in enumerate(["rating", "view", "remove", "purchase"])
    ]

    async def lists(client: Client) -> list[dict[str, Any]]:
        answers = [(await client.get(f"/recommendations/user/{user}")).json() for user in users]
        return [{name: value for name, value in answer.items() if name != "ranking_id"} for answer in answers]

    async with serving(tmp_path, kafka) as one, serving(tmp_path, kafka) as other:
        for client in (one, other):
            await until(lambda client=client: ready(client))
        for batch, client in ((sent[::2], one), (sent[1::2], other), (sent[:10], other)):
            assert (await client.post("/events", content=b"\n".join(batch))).status_code == 200

        async def agree() -> bool:
            return await lists(one) == await lists(other)

        await until(agree)
        async with serving(tmp_path, kafka) as late:
            await until(lambda: ready(late))
            assert await lists(late) == await lists(one)


async def test_without_a_broker_the_service_starts_degraded_and_refuses_events_in_time(tmp_path: Path) -> None:
    nobody = Kafka("127.0.0.1:9")
    champion(tmp_path, {"0": 0})
    async with serving(tmp_path, nobody, event_timeout_seconds=1.0) as client:
        await until(lambda: ready(client))
        assert "kafka_unreachable" in await state(client)
        assert await source(client, "u0") == "personalized"
        started = time.monotonic()
        response = await client.post("/events", content=event("u0"))
        assert time.monotonic() - started < 4.0
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert await source(client, "u0") == "personalized"
