"""Experiments through the real service, broker, Spark and Delta: what was served is what the analysis reads."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from pyspark.sql import SparkSession

from recommender_assets.experiments.attribution import attribute
from recommender_assets.experiments.log_frames import lists_of, reactions_of
from recommender_assets.ingestion.served_lists import ingest_served_lists
from recommender_assets.ingestion.served_lists_checks import log_offsets_are_contiguous
from recommender_assets.ingestion.streaming_query import ingest_available
from recommender_assets.local.topic import create_log_topic
from recommender_assets.settings import Settings
from recommender_serving.app import create_app
from recommender_serving.engine.assignment import Assigner
from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.experiment_definition import ExclusionSlice
from recommender_serving.engine.factor_model import write_model
from recommender_serving.engine.running_experiments import running_experiments_path, stop_experiment
from recommender_serving.settings import ChampionSettings
from recommender_serving.settings import Settings as ServiceSettings
from tests.factories import make_model
from tests.unit.recommender_serving.running import start
from tests.unit.recommender_serving.service import from_address, is_status, until

Client = AsyncTestClient[Litestar]
USERS = [f"u{number:03d}" for number in range(120)]
FAR = 4_000_000_000_000_000


@pytest.fixture
def deployed(settings: Settings, topic: str) -> Settings:
    create_log_topic(settings)
    for algorithm, seed in (("svd", 0), ("nmf", 1)):
        model = make_model(algorithm, n_users=len(USERS), n_items=60, seed=seed, version=f"{algorithm}-1")
        write_model(version_directory(settings.root, model.version), model)
    versions = {"svd": "svd-1", "nmf": "nmf-1"}
    pointer = ChampionPointer(version="svd-1", predecessor=None, deployed=versions, promoted_at="2024-01-02T00:00:00Z")
    write_pointer(settings.root, pointer)
    return settings


@asynccontextmanager
async def replica(settings: Settings) -> AsyncIterator[Client]:
    app = create_app(
        ServiceSettings(
            storage=settings.storage,
            streaming=settings.streaming,
            recommendation_log=msgspec.structs.replace(settings.recommendation_log, share=0.0),
            champion=ChampionSettings(poll_interval_seconds=0.02),
        )
    )
    app.asgi_handler = from_address("127.0.0.1", app.asgi_handler)
    async with AsyncTestClient(app) as client:
        await until(lambda: is_status(client, 200), seconds=20)
        yield client


class Audience:
    """Users who ask two replicas in turn and click; keeps what they were answered."""

    def __init__(self, *replicas: Client) -> None:
        self._replicas = replicas
        self.answers: list[dict[str, Any]] = []
        self.clicks: Counter[str] = Counter()

    async def ask(self, user: str) -> dict[str, Any]:
        replica = self._replicas[len(self.answers) % len(self._replicas)]
        answer: dict[str, Any] = (await replica.get(f"/recommendations/user/{user}")).json()
        self.answers.append(answer)
        return answer

    async def ask_all(self) -> dict[str, tuple[str, str] | None]:
        return {user: arm_of(await self.ask(user)) for user in USERS}

    async def click(self, answer: dict[str, Any], place: int, **changes: Any) -> None:
        event = {
            "user_id": answer["user_id"],
            "item_id": answer["recommendations"][place]["item_id"],
            "event_type": "click",
            "timestamp": time.time_ns() // 1_000_000,
            "ranking_id": answer["ranking_id"],
        }
        body = msgspec.json.encode({name: value for name, value in (event | changes).items() if value is not None})
        assert (await self._replicas[0].post("/events", content=body)).json()["accepted"] == 1
        self.clicks[answer["ranking_id"]] += 1

    async def until_running(self, condition: Callable[[list[str]], bool]) -> None:
        """Wait until all replicas have seen the file."""

        async def seen() -> bool:
            texts = [(await client.get("/metrics")).text for client in self._replicas]
            return all(
                condition([line for line in text.splitlines() if "experiment_running{" in line]) for text in texts
            )

        await until(seen)

    def served(self, experiment: str) -> dict[str, dict[str, Any]]:
        named = [answer for answer in self.answers if (answer["experiment"] or {}).get("name") == experiment]
        return {answer["ranking_id"]: answer for answer in named}


def arm_of(answer: dict[str, Any]) -> tuple[str, str] | None:
    experiment = answer["experiment"]
    return None if experiment is None else (experiment["name"], experiment["variant"])


async def test_what_was_served_and_clicked_is_read_back_exactly(spark: SparkSession, deployed: Settings) -> None:
    root = deployed.root
    half, other_half = (ExclusionSlice(group="g", start=place, end=place + 0.5) for place in (0.0, 0.5))
    async with replica(deployed) as one, replica(deployed) as other:
        audience = Audience(one, other)
        assert set((await audience.ask_all()).values()) == {None}

        definition = start(root, "one", slice=half, traffic_share=0.5)
        start(root, "two", slice=other_half)
        await audience.until_running(lambda lines: len(lines) == 2)
        small = await audience.ask_all()
        start(root, "one", slice=half, traffic_share=1.0)
        grown = Assigner(msgspec.structs.replace(definition, traffic_share=1.0))
        newcomer = next(user for user in USERS if small[user] is None and grown.assign(user) is not None)

        async def has_joined() -> bool:
            return all([arm_of(await audience.ask(newcomer)) is not None for _ in range(2)])

        await until(has_joined)
        large = await audience.ask_all()
        assert {user: arm for user, arm in small.items() if arm}.items() <= large.items()
        assert None not in large.values()
        assert {arm[0] for arm in large.values() if arm} == {"one", "two"}
        assert all(arm == ("one", given.variant) for user, arm in large.items() if (given := grown.assign(user)))

        for number, answer in enumerate(list(audience.served("one").values())):
            if number % 3 == 0:
                await audience.click(answer, place=number % 10)
            if number % 6 == 0:
                await audience.click(answer, place=(number + 1) % 10, event_type="purchase")
        last_of = {answer["user_id"]: answer for answer in audience.served("two").values()}
        for answer in list(last_of.values())[:7]:
            await audience.click(answer, place=0, ranking_id=None)

        stop_experiment(root, "one")
        running_experiments_path(root).unlink()
        await audience.until_running(lambda lines: not lines)
        assert set((await audience.ask_all()).values()) == {None}

    report = await asyncio.to_thread(ingest_served_lists, deployed)
    await asyncio.to_thread(ingest_available, spark, deployed)
    assert report.accepted == len(audience.served("one")) + len(audience.served("two"))
    assert (report.rejected, report.lost) == (0, 0)
    assert log_offsets_are_contiguous(deployed).passed
    for name in ("one", "two"):
        expected = audience.served(name)
        lists = lists_of(root, name, 0, FAR)
        assert len(lists) == len(expected)
        for row in lists.itertuples():
            answer = expected[row.ranking_id]
            assert (row.user_id, row.arm) == (answer["user_id"], answer["experiment"]["variant"])
            assert list(row.items) == [entry["item_id"] for entry in answer["recommendations"]]
        reactions = reactions_of(root, lists["user_id"], 0, FAR)
        assert len(reactions) == sum(audience.clicks[ranking_id] for ranking_id in expected)
        outcomes = attribute(lists, reactions, 1.0)
        assert (outcomes.crossed_users, outcomes.unattributed, outcomes.duplicates) == (0, 0, 0)
        assert outcomes.daily["lists"].sum() == len(expected)
        assert outcomes.daily["clicked_lists"].sum() == sum(ranking_id in audience.clicks for ranking_id in expected)
        by_arm = outcomes.daily.groupby("arm")["clicked_lists"].sum().to_dict()
        clicked = Counter(expected[r]["experiment"]["variant"] for r in audience.clicks if r in expected)
        assert {arm: count for arm, count in by_arm.items() if count} == dict(clicked)


async def test_what_kafka_never_took_is_counted_and_delays_nothing(
    deployed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic of the log does not exist: lists are answered, and none of them is missing in the count."""
    monkeypatch.setattr("recommender_serving.log_writer._STOP_SECONDS", 0.2)
    nowhere = msgspec.structs.replace(deployed.recommendation_log, topic="no-such-topic", queue_records=50)
    start(deployed.root)
    async with replica(msgspec.structs.replace(deployed, recommendation_log=nowhere)) as client:
        audience = Audience(client)
        await audience.until_running(lambda lines: len(lines) == 1)
        await audience.ask_all()
        text = (await client.get("/metrics")).text
        assert f'recommender_log_lists_total{{result="written"}} {len(USERS)}.0' in text
        assert f'recommender_log_lists_total{{result="dropped"}} {len(USERS) - 50}.0' in text
