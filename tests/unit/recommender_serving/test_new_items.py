"""Items that the model does not know, from the event to the list."""

import asyncio
from typing import Any

import numpy as np
import pytest

from recommender_serving.answers import RecommendationList
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.engine.top_items import Query, TopItems
from recommender_serving.rendered_list import ListSettings
from recommender_serving.snapshot import Snapshot
from tests.factories import START_US, make_event
from tests.unit.recommender_serving.service import Client, Service, event_json, items_of, metric, recommend, until
from tests.unit.recommender_serving.snapshots import snapshot_of
from tests.unit.recommender_serving.two_tastes import two_tastes

N = 12  # longer than what is left of a taste


class World:
    """A snapshot with a topic of one partition."""

    def __init__(self, algorithm: str = "svd") -> None:
        self.live = LiveEvents({})
        self.snapshot: Snapshot = snapshot_of(two_tastes(algorithm), self.live)
        self._offset = 0

    def rate(self, user_id: str, item_id: str | None, event_type: str = "rating", rating: float = 5.0) -> None:
        moment = START_US + 1_000_000 * (self._offset + 1)
        self.live.apply(make_event(user_id, item_id, event_type, rating, moment), 0, self._offset)
        self._offset += 1

    async def listed(self, user_id: str, n: int = N, *, exclude_seen: bool = True) -> RecommendationList:
        return await self.snapshot.recommend(user_id, ListSettings(n, exclude_seen))

    async def ids(self, user_id: str, n: int = N, *, exclude_seen: bool = True) -> list[str]:
        listed = await self.listed(user_id, n, exclude_seen=exclude_seen)
        return [entry.item_id for entry in listed.recommendations]


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
async def test_a_new_item_is_listed_to_those_who_are_like_its_users(algorithm: str) -> None:
    world = World(algorithm)
    for number in range(5):
        world.rate(f"a{number:02d}", "new")
    assert "new" not in await world.ids("a10")
    await world.snapshot.refresh_new_items()
    like, unlike = await world.ids("a10"), await world.ids("b10")
    assert like.index("new") < 9, "among what the user's own taste has left"
    assert "new" not in unlike
    assert "new" not in await world.ids("a00"), "who has seen it"
    seen_too = await world.ids("a00", 20, exclude_seen=False)
    assert seen_too.index("new") < 16


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
async def test_known_items_users_and_scores_stay_as_they_are(algorithm: str) -> None:
    world, untouched = World(algorithm), World(algorithm)
    for number in range(5):
        world.rate(f"a{number:02d}", "new")
    await world.snapshot.refresh_new_items()
    for user in ("a00", "a10", "b10", "guest"):
        state, before = world.snapshot.state_of(user), untouched.snapshot.state_of(user)
        np.testing.assert_allclose(state.ranking, before.ranking, atol=1e-5)
        np.testing.assert_allclose(state.rating, before.rating, atol=1e-5)
        listed = await world.listed(user, 20)
        expected = {entry.item_id: entry for entry in (await untouched.listed(user, 20)).recommendations}
        known = [entry for entry in listed.recommendations if entry.item_id != "new"]
        assert [entry.item_id for entry in known] == list(expected)[: len(known)]
        for entry in known:
            assert entry.score == pytest.approx(expected[entry.item_id].score, abs=1e-5)
            assert entry.predicted_rating == pytest.approx(expected[entry.item_id].predicted_rating, abs=1e-5)


async def test_a_kept_list_changes_only_if_a_new_item_enters_or_leaves_it() -> None:
    world = World()
    wanted = ListSettings(8)

    async def body(user_id: str) -> Any:
        return (await world.snapshot.answer(user_id, wanted)).body

    a_user, b_user, guest = await body("a10"), await body("b10"), await body("guest")
    for number in range(5):
        world.rate(f"a{number:02d}", "new")
    await world.snapshot.refresh_new_items()
    with_new = await body("a10")
    assert b'"new"' in with_new
    assert with_new is not a_user
    assert await body("b10") is b_user, "not even rendered again"
    assert await body("guest") == guest
    assert await body("a10") is with_new
    world.rate("b03", "b-new")
    await world.snapshot.refresh_new_items()
    assert await body("a10") == with_new
    for number in range(5):
        world.rate(f"a{number:02d}", "new", "remove")
    await world.snapshot.refresh_new_items()
    assert await body("a10") == a_user
    sizes = [user.size for user in world.snapshot._users._users.values()]
    assert world.snapshot.cache_bytes == sum(sizes)


async def test_a_list_that_is_finished_after_the_next_refresh_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    search = world.snapshot.search

    async def slow_search(query: Query) -> TopItems:
        found = await search(query)
        for number in range(5):
            world.rate(f"a{number:02d}", "new")
        await world.snapshot.refresh_new_items()
        world.snapshot.state_of("a10")  # as another request would, meanwhile
        return found

    wanted = ListSettings(8)
    with monkeypatch.context() as patched:
        patched.setattr(world.snapshot, "search", slow_search)
        assert "new" not in (await world.snapshot.answer("a10", wanted)).items
    assert "new" in (await world.snapshot.answer("a10", wanted)).items


async def test_a_short_list_takes_every_new_item() -> None:
    world = World()
    assert len(await world.ids("a10", 50)) == 24
    await world.snapshot.answer("a10", ListSettings(50))
    world.rate("a01", "new")
    await world.snapshot.refresh_new_items()
    assert b'"new"' in (await world.snapshot.answer("a10", ListSettings(50))).body


async def test_a_forgotten_user_takes_new_items_along() -> None:
    world = World()
    world.rate("a01", "new")
    await world.snapshot.refresh_new_items()
    assert world.snapshot.catalogue.space.new.ids == ("new",)
    world.rate("a01", None, "forget")
    await world.snapshot.refresh_new_items()
    assert world.snapshot.catalogue.space.new.ids == ()


async def test_weighed_and_spread_lists_hold_new_items_too() -> None:
    world = World()
    wanted = ListSettings(N, popularity_discount=0.5, diversity=0.1)
    before = await world.snapshot.answer("a10", wanted)
    for number in range(5):
        world.rate(f"a{number:02d}", "new")
    await world.snapshot.refresh_new_items()
    assert "new" not in before.items
    assert "new" in (await world.snapshot.answer("a10", wanted)).items
    assert "new" not in (await world.snapshot.answer("a01", wanted)).items, "who has seen it"


async def test_events_become_a_listed_item_within_seconds_over_http(service: Service) -> None:
    service.publish(two_tastes())
    async with service.ready() as client:
        assert "new" not in items_of(await recommend(client, "a10", num_recommendations=8))
        for number in range(5):
            body = event_json(user_id=f"a{number:02d}", item_id="new", rating=5, timestamp="2024-02-01T00:00:00Z")
            assert (await client.post("/events", content=body)).status_code == 200
        await until(lambda: _lists(client, "a10", "new"))
        assert await metric(client, 'recommender_new_items{algorithm="svd"}') == 1
        assert "new" not in items_of(await recommend(client, "b10", num_recommendations=8))

        asked = {"user_id": "a10", "num_recommendations": 8, "explain": True}
        answer = (await client.post("/recommendations", json=asked)).json()
        [entry] = [entry for entry in answer["recommendations"] if entry["item_id"] == "new"]
        parts = entry["explanation"]["score"]
        total = parts["base"] + parts["other_items"] + sum(part["contribution"] for part in parts["items"])
        assert total + parts["rules"] == pytest.approx(entry["score"], abs=1e-5)
        excluding = {"user_id": "a10", "num_recommendations": 8, "exclude_items": ["new"]}
        assert "new" not in items_of((await client.post("/recommendations", json=excluding)).json())
        similar = (await client.get("/items/new/similar")).json()["items"]
        assert all(item["item_id"].startswith("a") for item in similar[:5])

        service.publish(two_tastes(seed=1))
        await until(lambda: _serves_version(client, "svd-20240101T000000Z-00000001"))
        assert "new" in items_of(await recommend(client, "a10", num_recommendations=8)), "from the first answer on"


async def _lists(client: Client, user_id: str, item_id: str) -> bool:
    return item_id in items_of(await recommend(client, user_id, num_recommendations=8))


async def _serves_version(client: Client, version: str) -> bool:
    return bool((await client.get("/model")).json()["version"] == version)


async def test_work_is_done_in_turns() -> None:
    world = World()
    for number in range(300):
        world.rate(f"guest{number}", f"new{number % 150}")
        world.rate(f"guest{number}", "a00")
    refresh = asyncio.ensure_future(world.snapshot.refresh_new_items())
    turns = 0
    while not refresh.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    assert len(world.snapshot.catalogue.space.new.ids) == 100
    await world.snapshot.refresh_new_items()
    assert len(world.snapshot.catalogue.space.new.ids) == 150
