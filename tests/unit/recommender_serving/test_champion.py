import asyncio
import gc
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from recommender_serving.engine.champion_pointer import pointer_path, version_directory
from recommender_serving.engine.factor_model import Position, read_model, write_model
from recommender_serving.engine.forgotten_users import ForgottenUser, forgotten_users_path, write_forgotten_users
from recommender_serving.snapshot import Snapshot
from tests.factories import make_model
from tests.unit.recommender_serving.service import (
    Client,
    Service,
    event_json,
    is_status,
    items_of,
    metric,
    recommend,
    until,
)

FIRST = make_model(n_users=6, n_items=40, seed=1)
SECOND = make_model(n_users=6, n_items=40, seed=2)


async def version_of(client: Client) -> str:
    version: str = (await client.get("/model")).json()["version"]
    return version


async def health(client: Client) -> dict[str, object]:
    answer: dict[str, object] = (await client.get("/health/ready")).json()
    return answer


async def refused(client: Client) -> bool:
    return "champion_refused" in str(await health(client))


def truncate(service: Service, version: str) -> None:
    array = next(path for path in sorted(version_directory(service.root, version).iterdir()) if path.suffix == ".npy")
    array.write_bytes(array.read_bytes()[:-1])


async def test_a_damaged_new_version_is_refused_and_the_old_one_keeps_serving(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        before = items_of(await recommend(client, "u0"))
        write_model(version_directory(service.root, SECOND.version), SECOND)
        truncate(service, SECOND.version)
        service.promote(SECOND.version)
        await until(lambda: refused(client))
        state = await health(client)
        assert state["status"] == "degraded"
        assert SECOND.version in str(state["reasons"])
        assert await version_of(client) == FIRST.version
        assert items_of(await recommend(client, "u0")) == before
        metrics = (await client.get("/metrics")).text
        assert "recommender_refused_models_total 1.0" in metrics
        assert 'recommender_degraded{reason="champion_refused"} 1.0' in metrics
        service.promote(FIRST.version)
        await until(lambda: is_ready(client))


async def is_version(client: Client, version: str) -> bool:
    return await version_of(client) == version


async def is_ready(client: Client) -> bool:
    return (await health(client))["status"] == "ready"


async def test_a_version_that_is_mended_is_tried_again(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        service.promote(SECOND.version)  # promoted before its directory is there
        await until(lambda: refused(client))
        service.publish(SECOND)
        await until(lambda: is_version(client, SECOND.version))
        assert await is_ready(client)


async def test_a_directory_that_holds_another_version_is_refused(service: Service) -> None:
    service.publish(FIRST)
    shutil.copytree(version_directory(service.root, FIRST.version), version_directory(service.root, "svd-other"))
    async with service.ready() as client:
        service.promote("svd-other")
        await until(lambda: refused(client))
        assert await version_of(client) == FIRST.version


async def test_a_damaged_pointer_is_stated_and_changes_nothing(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        pointer_path(service.root).write_text('{"version": 3}', encoding="utf-8")
        await until(lambda: refused(client))
        assert "pointer" in str(await health(client))
        assert await version_of(client) == FIRST.version


async def test_with_only_a_damaged_champion_the_service_says_why_it_is_not_ready(service: Service) -> None:
    service.publish(FIRST)
    truncate(service, FIRST.version)
    async with service.running() as client:
        await until(lambda: names_the_version(client))
        assert (await client.get("/health/live")).status_code == 200


async def names_the_version(client: Client) -> bool:
    response = await client.get("/recommendations/user/u0")
    return response.status_code == 503 and f"champion {FIRST.version} was refused" in response.json()["detail"]


async def test_a_new_champion_keeps_later_events_and_drops_those_it_was_trained_on(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        for user in ("early", "late"):
            await client.post("/events", content=event_json(user_id=user))
        after_one = Position(topic="user_interactions", next_offsets={"0": 1})
        service.publish(make_model(n_users=6, n_items=40, seed=3, version="svd-later", position=after_one))
        await until(lambda: is_version(client, "svd-later"))
        assert (await recommend(client, "late"))["source"] == "folded_in"
        # The model was trained up to the event of `early`, and this one has no such user: the event is not live.
        assert (await recommend(client, "early"))["source"] == "popular"
        assert len(service.topic.followed) == 1, "what is held already is not read again"


async def test_a_rollback_reads_again_what_is_not_held(service: Service) -> None:
    after_two = Position(topic="user_interactions", next_offsets={"0": 2})
    newer = make_model(n_users=6, n_items=40, seed=3, version="svd-newer", position=after_two)
    for user in ("early", "middle", "late"):
        service.topic.append(event_json(user_id=user))
    service.publish(newer)
    async with service.ready() as client:
        assert (await recommend(client, "early"))["source"] == "popular"
        assert (await recommend(client, "late"))["source"] == "folded_in"
        service.publish(FIRST)  # its position is offset 0
        await until(lambda: is_version(client, FIRST.version))
        for user in ("early", "middle", "late"):
            assert (await recommend(client, user))["source"] == "folded_in"
    assert service.topic.followed == [("", {0: 2}), ("", {0: 0})]


def slow_retry(service: Service) -> Service:
    service.refused_retry_seconds = 60.0
    return service


async def test_a_refused_version_is_left_alone_until_the_retry_time(service: Service) -> None:
    service.publish(FIRST)
    async with slow_retry(service).ready() as client:
        service.promote(SECOND.version)
        await until(lambda: refused(client))
        service.publish(SECOND)  # mended, and promoted again
        await asyncio.sleep(0.1)
        assert await is_version(client, FIRST.version)
        assert await metric(client, "recommender_refused_models_total") == 1, "the same refusal counts once"
        third = make_model(n_users=6, n_items=40, seed=3)
        service.publish(third)  # another version does not wait
        await until(lambda: is_version(client, third.version))
        assert await is_ready(client)


async def test_the_same_refusal_is_counted_once_however_often_it_is_tried(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        with patch("recommender_serving.model_loading.read_model", wraps=read_model) as read:
            service.promote(SECOND.version)

            async def tried_thrice() -> bool:
                return read.call_count >= 3

            await until(tried_thrice)
        assert await metric(client, "recommender_refused_models_total") == 1


async def test_a_damaged_pointer_that_is_mended_brings_the_version_it_names(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        pointer = pointer_path(service.root).read_bytes()
        for damaged in (b"", b"{", b"\xff\xfe", b'{"version": "../outside"}', b"[" * 10_000):
            pointer_path(service.root).write_bytes(damaged)
            await until(lambda: refused(client))
            assert await version_of(client) == FIRST.version
            assert (await client.get("/recommendations/user/u0")).status_code == 200
            pointer_path(service.root).write_bytes(pointer)
            await until(lambda: is_ready(client))
        pointer_path(service.root).write_bytes(b"{")
        await until(lambda: refused(client))
        service.publish(SECOND, predecessor=FIRST.version)
        await until(lambda: is_version(client, SECOND.version))
        assert (await client.get("/model")).json()["predecessor"] == FIRST.version


async def test_a_damaged_pointer_without_a_champion_is_the_reason_to_wait(service: Service) -> None:
    pointer_path(service.root).parent.mkdir(parents=True)
    pointer_path(service.root).write_text("{", encoding="utf-8")
    async with service.running() as client:

        async def says_so() -> bool:
            response = await client.get("/health/ready")
            return "the champion's pointer cannot be read" in response.json()["detail"]

        await until(says_so)
        service.publish(FIRST)
        await until(lambda: is_status(client, 200))
        assert await is_ready(client)


async def test_a_removed_pointer_changes_nothing(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        pointer_path(service.root).unlink()
        await asyncio.sleep(0.05)
        assert await is_ready(client)
        assert await version_of(client) == FIRST.version


async def test_a_rollback_serves_the_older_versions_lists_again(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        before = await recommend(client, "u0")
        service.publish(SECOND, predecessor=FIRST.version)
        await until(lambda: is_version(client, SECOND.version))
        between = await recommend(client, "u0")
        service.promote(FIRST.version, predecessor=SECOND.version)
        await until(lambda: is_version(client, FIRST.version))
        after = await recommend(client, "u0")
    assert items_of(between) != items_of(before)
    assert after["recommendations"] == before["recommendations"]
    assert after["model"]["version"] == FIRST.version


async def test_events_and_forgets_outlive_a_swap(service: Service) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id="u1", event_type="forget", timestamp=1_704_200_000))
        await client.post("/events", content=event_json(user_id="u2", item_id="i07"))
        service.publish(SECOND)
        await until(lambda: is_version(client, SECOND.version))
        assert (await recommend(client, "u1"))["source"] == "popular"
        folded = await recommend(client, "u2", num_recommendations=20)
        assert folded["source"] == "folded_in"
        assert "i07" not in items_of(folded)
        again = await client.post("/events", content=event_json(user_id="u2", item_id="i07"))
        assert again.json()["duplicate"] == 1


async def test_a_rollback_respects_forgets_that_kafka_let_expire(service: Service) -> None:
    positions = [Position(topic_id="topic-a", next_offsets={"0": offset}) for offset in (5, 9)]
    old, new = (make_model(n_users=6, n_items=40, seed=seed, position=at) for seed, at in enumerate(positions))
    write_forgotten_users(
        service.root,
        [
            ForgottenUser("u1", "topic-a", 0, 7, 1_704_200_000_000_000),
            ForgottenUser("u2", "topic-a", 0, 4, 1_704_200_000_000_000),
            ForgottenUser("u3", "topic-z", 0, 7, 1_704_200_000_000_000),
        ],
    )
    service.publish(new)
    async with service.ready() as client:
        assert (await recommend(client, "u1"))["source"] == "personalized", "it was trained after the forget"
        service.publish(old)
        await until(lambda: is_version(client, old.version))
        assert (await recommend(client, "u1"))["source"] == "popular"
        for user in ("u2", "u3"):
            assert (await recommend(client, user))["source"] == "personalized"


async def test_without_the_list_of_forgotten_users_no_model_goes_into_service(service: Service) -> None:
    forgotten_users_path(service.root).parent.mkdir(parents=True)
    forgotten_users_path(service.root).write_bytes(b"[[1]]")
    service.publish(FIRST)
    async with service.running() as client:

        async def is_told() -> bool:
            return "FORGOTTEN.json" in (await client.get("/recommendations/user/u0")).text

        await until(is_told)
        write_forgotten_users(service.root, [])
        await until(lambda: is_status(client, 200))


async def test_the_watch_outlives_what_it_did_not_expect(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.publish(FIRST)
    async with service.ready() as client:
        with patch("recommender_serving.model_loading.read_model", side_effect=ZeroDivisionError) as read:
            service.publish(SECOND)

            async def tried_twice() -> bool:
                return read.call_count >= 2

            await until(tried_twice)
            assert await version_of(client) == FIRST.version
        await until(lambda: is_version(client, SECOND.version))
    assert "looking after the champion failed" in caplog.text


async def test_whoever_asked_lately_does_not_wait_for_a_new_champion_to_render(service: Service) -> None:
    service.publish(make_model(version="svd-a"))
    async with service.ready() as client:
        for user in ("u1", "u2"):
            await recommend(client, user)
        service.publish(make_model(version="svd-b", seed=1), predecessor="svd-a")
        await until(lambda: _serves(client, "svd-b"))
        hits = await metric(client, 'recommender_list_cache_total{result="hit"}')
        for user in ("u1", "u2"):
            assert (await recommend(client, user))["model"]["version"] == "svd-b"
        assert await metric(client, 'recommender_list_cache_total{result="hit"}') == hits + 2


async def _serves(client: Client, version: str) -> bool:
    return bool((await client.get("/model")).json()["version"] == version)


async def test_events_without_room_degrade_until_a_champion_holds_them(service: Service) -> None:
    service.max_live_events = 2
    service.publish(make_model(n_users=6, n_items=40, version="svd-a"))
    async with service.ready() as client:
        service.topic.readable.clear()  # or the follower in memory would deliver everything again and again
        for user in ("u0", "u1"):
            await client.post("/events", content=event_json(user_id=user, item_id="i03"))
        assert (await client.get("/health/ready")).json() == {"status": "ready", "reasons": []}
        await client.post("/events", content=event_json(user_id="u2", item_id="i03"))
        health = (await client.get("/health/ready")).json()
        assert [reason["code"] for reason in health["reasons"]] == ["live_events_dropped"]
        assert "api.max_live_events" in health["reasons"][0]["detail"]
        assert (await recommend(client, "u0"))["source"] == "personalized"
        assert (await recommend(client, "u2"))["source"] == "folded_in"
        assert await metric(client, "recommender_live_events") == 2
        assert await metric(client, "recommender_live_events_dropped") == 1
        assert await metric(client, 'recommender_degraded{reason="live_events_dropped"}') == 1
        position = Position(topic="user_interactions", next_offsets={"0": 3})
        service.publish(make_model(n_users=6, n_items=40, version="svd-b", position=position), predecessor="svd-a")
        await until(lambda: _serves(client, "svd-b"))
        assert (await client.get("/health/ready")).json()["status"] == "ready"


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_a_replaced_model_gives_its_memory_back_without_garbage_collection(service: Service) -> None:
    service.publish(FIRST)
    with no_garbage_collection():
        async with service.ready() as client:
            await client.post("/events", content=event_json(item_id="unheard-of"))
            for user in ("u0", "u1", "nobody"):
                await recommend(client, user)
                await client.get(f"/users/{user}")
            serving = [weakref.ref(found) for found in gc.get_objects() if isinstance(found, Snapshot)]
            factors = [weakref.ref(snapshot.model.ranking.item_factors) for ref in serving if (snapshot := ref())]
            assert len(serving) == len(factors) == 1
            del snapshot
            service.publish(SECOND)
            await until(lambda: is_version(client, SECOND.version))
            await recommend(client, "u0")
            await until(lambda: gone([*serving, *factors]))


async def gone(references: list[weakref.ref[object]]) -> bool:
    return all(reference() is None for reference in references)
