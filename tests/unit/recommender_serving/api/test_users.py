import datetime as dt
import time
from hashlib import sha256
from urllib.parse import quote

import pytest

from recommender_serving.access.keys import KeySettings
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import Event, decode_event
from recommender_serving.settings import AccessSettings
from tests.factories import START_US, history_of, make_event, make_model
from tests.unit.recommender_serving.service import Service, event_json, items_of, problem_of, recommend

MODEL = make_model(n_users=6, n_items=40)


async def test_a_forgotten_user_gets_the_popular_list_and_others_keep_theirs(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        service.topic.readable.clear()
        other = await recommend(client, "u2")
        assert (await recommend(client, "u1"))["source"] == "personalized"
        await client.post("/events", content=event_json(user_id="u1", item_id="i03"))
        assert (await recommend(client, "u1"))["source"] == "folded_in"
        response = await client.delete("/users/u1")
        assert response.status_code == 202
        answer = response.json()
        assert (answer["user_id"], answer["status"]) == ("u1", "accepted")
        assert "the next model" in answer["detail"]
        after, stranger = await recommend(client, "u1"), await recommend(client, "nobody")
        assert after["source"] == "popular"
        assert items_of(after) == items_of(stranger)
        assert items_of(await recommend(client, "u2")) == items_of(other)


async def test_what_is_stored_is_a_forget_event_of_now(service: Service) -> None:
    async with service.running() as client:
        assert (await client.delete("/users/u1")).status_code == 202
    (record,) = service.topic.records
    event = decode_event(record.value, time.time_ns() // 1_000_000, RatingScale())
    assert isinstance(event, Event)
    assert (event.user_id, event.item_id, event.event_type, event.rating) == ("u1", None, "forget", None)
    assert abs(event.timestamp_us / 1e6 - time.time()) < 60


async def test_events_after_the_forget_count_again_and_so_does_a_second_forget(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        for _ in range(2):
            await client.delete("/users/u1")
            assert (await recommend(client, "u1"))["source"] == "popular"
            moment = time.time()
            await client.post("/events", content=event_json(user_id="u1", item_id="i05", timestamp=moment))
            answer = await recommend(client, "u1")
            assert answer["source"] == "folded_in"
            assert "i05" not in items_of(answer)


@pytest.mark.parametrize("user_id", ["a/b", "/", "100%", "%2F", "日本", "nobody"])
async def test_the_id_may_be_any_percent_encoded(service: Service, user_id: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id=user_id, item_id="i05"))
        response = await client.delete(f"/users/{quote(user_id, safe='')}")
        assert (response.status_code, response.json()["user_id"]) == (202, user_id)
        assert (await recommend(client, quote(user_id, safe="")))["source"] == "popular"


@pytest.mark.parametrize("encoded", ["%00", "x" * 257])
async def test_an_id_that_no_user_can_have_is_refused(service: Service, encoded: str) -> None:
    async with service.running() as client:
        problem_of(await client.delete(f"/users/{encoded}"), 400, "invalid_user_id")
    assert service.topic.records == []


async def test_without_kafka_the_answer_is_503_and_nothing_is_forgotten(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        service.topic.available.clear()
        response = await client.delete("/users/u1")
        problem = problem_of(response, 503, "events_not_stored")
        assert (problem["stored"], problem["not_stored"]) == (0, 1)
        assert response.headers["retry-after"] == "5"
        assert (await recommend(client, "u1"))["source"] == "personalized"


async def test_only_an_administrators_key_may(service: Service) -> None:
    service.publish(MODEL)
    service.access = AccessSettings(
        keys=[
            KeySettings(name="writer", sha256=sha256(b"rk_writer").hexdigest(), scopes=["read", "write"]),
            KeySettings(name="chief", sha256=sha256(b"rk_chief").hexdigest(), scopes=["admin"]),
        ]
    )
    async with service.ready() as client:
        refused = await client.delete("/users/u1", headers={"authorization": "Bearer rk_writer"})
        problem_of(refused, 403, "forbidden")
        assert service.topic.records == []
        allowed = await client.delete("/users/u1", headers={"authorization": "Bearer rk_chief"})
        assert allowed.status_code == 202


HOUR_US = 3_600_000_000


def now_us() -> int:
    return time.time_ns() // 1_000


def text(timestamp_us: int) -> str:
    return dt.datetime.fromtimestamp(timestamp_us / 1e6, dt.UTC).isoformat()


async def test_a_user_is_described_with_counts_windows_tastes_and_history(service: Service) -> None:
    now = now_us()
    past = [
        make_event("u0", "i0", rating=5.0, timestamp_us=START_US),
        make_event("u0", "i1", rating=2.0, timestamp_us=now - 20 * 24 * HOUR_US),
        make_event("u0", "i1", "view", timestamp_us=now - 3 * HOUR_US),
        make_event("u1", "i2", timestamp_us=now),
    ]
    items = ["i0", "i1", "i2"]
    model = make_model(history=history_of(past, ["u0", "u1"], items), user_ids=["u0", "u1"], item_ids=items)
    service.publish(model)
    async with service.ready() as client:
        trained = (await client.get("/users/u0")).json()
        assert trained["activity"] | {"category_affinity": {}} == {
            "interactions": 3,
            "ratings": 2,
            "mean_rating": 3.5,
            "first_interaction": "2024-01-01T00:00:00Z",
            "last_interaction": text(now - 3 * HOUR_US).replace("+00:00", "Z"),
            "windows": {"1_hour": 0, "24_hours": 1, "7_days": 1, "30_days": 2},
            "category_affinity": {},
        }
        assert sum(trained["activity"]["category_affinity"].values()) == pytest.approx(1)
        assert trained["vector"] == {
            "source": "personalized",
            "trained_events": 3,
            "live_events": 0,
            "items": 2,
            "unknown_items": [],
            "as_of": "2024-01-01T00:00:00Z",
            "model": {"algorithm": "svd", "version": model.version},
        }
        assert [entry["item_id"] for entry in trained["history"]] == ["i1", "i0"]

        removal = event_json(event_type="remove", rating=None, item_id="i1", timestamp=text(now))
        await client.post("/events", content=removal)
        await client.post("/events", content=event_json(item_id="new", rating=4, timestamp=text(now - 1_000_000)))
        live = (await client.get("/users/u0", params={"num_items": 1})).json()
    assert (live["activity"]["interactions"], live["activity"]["ratings"]) == (2, 2)
    assert live["activity"]["mean_rating"] == 4.5
    assert live["activity"]["windows"]["1_hour"] == 1
    assert (live["vector"]["source"], live["vector"]["live_events"], live["vector"]["items"]) == ("folded_in", 2, 1)
    assert live["vector"]["unknown_items"] == ["new"]
    assert [entry["item_id"] for entry in live["history"]] == ["new"]


async def test_nobody_knows_a_stranger_and_a_forgotten_user_is_one(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        stranger = (await client.get("/users/nobody")).json()
        assert stranger["activity"]["interactions"] == 0
        assert stranger["activity"]["last_interaction"] is None
        assert (stranger["vector"]["source"], stranger["history"]) == ("popular", [])
        assert (await client.get("/users/u1")).json()["activity"]["interactions"] > 0
        await client.delete("/users/u1")
        forgotten = (await client.get("/users/u1")).json()
    assert forgotten["activity"] == stranger["activity"]
    assert (forgotten["vector"]["source"], forgotten["history"]) == ("popular", [])


async def test_describing_a_user_needs_a_champion_a_valid_id_and_a_valid_number(service: Service) -> None:
    async with service.running() as client:
        problem_of(await client.get("/users/u0"), 503, "not_ready")
    service.publish(MODEL)
    async with service.ready() as client:
        problem_of(await client.get("/users/a%00"), 400, "invalid_user_id")
        problem_of(await client.get("/users/u0", params={"num_items": 0}), 400, "invalid_request")
