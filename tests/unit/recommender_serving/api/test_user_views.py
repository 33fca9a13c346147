"""What the routes below `/users` tell: some users, one user's past, and its changes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from recommender_serving.api.user_changes import UserVersion, _versions
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.snapshot import Snapshot
from recommender_serving.user_history import user_history
from tests.factories import START_US, history_of, make_event, make_model
from tests.unit.recommender_serving.service import Service, event_json, problem_of
from tests.unit.recommender_serving.snapshots import snapshot_of

ITEMS = ["a", "b", "c"]
PAST = [
    make_event("u1", "a", rating=4.0, timestamp_us=START_US),
    make_event("u1", "b", "view", timestamp_us=START_US + 2),
    make_event("u1", "c", rating=2.0, timestamp_us=START_US + 1),
]
MODEL = make_model(history=history_of(PAST, ["u1"], ITEMS), user_ids=["u1"], item_ids=ITEMS)


def snapshot_with(*events: Any) -> Snapshot:
    live = LiveEvents({})
    for offset, event in enumerate(events):
        live.apply(event, 0, offset)
    return snapshot_of(MODEL, live)


def items_of(snapshot: Snapshot, user_id: str = "u1", longest: int = 100) -> list[tuple[str, float | None]]:
    return [(item.item_id, item.rating) for item in user_history(snapshot, user_id, longest).items]


def test_the_past_is_listed_latest_first_with_titles() -> None:
    assert items_of(snapshot_with()) == [("b", None), ("c", 2.0), ("a", 4.0)]
    assert user_history(snapshot_with(), "u1", 1).items[0].title == "Film b"
    assert items_of(snapshot_with(), longest=2) == [("b", None), ("c", 2.0)]
    assert items_of(snapshot_with(), "nobody") == []


def test_live_events_count_at_once() -> None:
    later = START_US + 10
    rated = make_event("u1", "a", rating=1.0, timestamp_us=later)
    assert items_of(snapshot_with(rated))[0] == ("a", 1.0)
    removed = make_event("u1", "b", "remove", timestamp_us=later)
    assert items_of(snapshot_with(removed)) == [("c", 2.0), ("a", 4.0)]
    assert items_of(snapshot_with(make_event("u1", event_type="forget", timestamp_us=later))) == []
    new = make_event("guest", "unheard of", rating=3.0, timestamp_us=later)
    assert items_of(snapshot_with(new), "guest") == [("unheard of", None)]


async def test_the_history_is_asked_for_by_an_encoded_id(service: Service) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        assert (await client.post("/events", content=event_json(user_id="a/ü"))).status_code == 200
        answer = (await client.get("/users/a%2F%C3%BC/history")).json()
        assert answer["user_id"] == "a/ü"
        assert [(item["item_id"], item["title"]) for item in answer["items"]] == [("i00", "Film i00")]
        problem_of(await client.get("/users/a%00/history"), 400, "invalid_user_id")
        problem_of(await client.get("/users/u0/history", params={"num_items": 1001}), 400, "invalid_request")


async def test_some_users_are_named_the_most_active_first(service: Service) -> None:
    events = [make_event(f"u{user}", ITEMS[item]) for user in range(3) for item in range(3 - user)]
    users = ["u0", "u1", "u2"]
    service.publish(make_model(history=history_of(events, users, ITEMS), user_ids=users, item_ids=ITEMS))
    async with service.ready() as client:
        assert (await client.get("/users")).json() == {"users": ["u0", "u1", "u2"]}


async def test_users_need_a_champion_and_a_valid_id(service: Service) -> None:
    async with service.running() as client:
        for path in ("/users", "/users/u0/history", "/users/u0/changes"):
            problem_of(await client.get(path), 503, "not_ready")
    service.publish(make_model())
    async with service.ready() as client:
        problem_of(await client.get("/users/a%00/changes"), 400, "invalid_user_id")


class ServingChampion:
    """Stands for the champion where only its snapshot matters."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


async def take(versions: AsyncIterator[UserVersion | None], number: int) -> list[UserVersion | None]:
    taken = []
    async for version in versions:
        taken.append(version)
        if len(taken) == number:
            break
    return taken


async def test_a_stream_tells_the_state_and_then_every_change() -> None:
    champion: Any = ServingChampion(snapshot_with())
    stream = _versions(champion, "u1", lambda: False)
    assert await take(stream, 1) == [UserVersion(model_version=MODEL.version, events=0)]
    changed = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0.05)
    assert not changed.done()
    champion.snapshot.live.apply(make_event("u1", "a", timestamp_us=START_US + 5), 0, 0)
    [version] = await asyncio.wait_for(changed, 2)
    assert version is not None
    assert version.events > 0


async def test_a_stream_ends_when_the_service_stops() -> None:
    stopping = False
    stream = _versions(ServingChampion(snapshot_with()), "u1", lambda: stopping)  # type: ignore[arg-type]
    await take(stream, 1)
    stopping = True
    assert await asyncio.wait_for(take(stream, 1), 2) == []
