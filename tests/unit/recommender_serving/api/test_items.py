import dataclasses
import datetime as dt
from typing import get_args
from urllib.parse import quote

import msgspec
import numpy as np
import pytest

from recommender_serving.answers import WindowName, WindowOrAll
from recommender_serving.engine.activity import WINDOWS
from recommender_serving.engine.factor_model import FactorModel, Position
from tests.factories import history_of, make_event, make_model
from tests.unit.recommender_serving.service import Client, Service, event_json, get_raw, problem_of, until

MODEL = make_model("nmf", n_users=8, n_items=30)


async def test_popular_items_come_with_their_users_most_first(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = (await client.get("/items/popular", params={"num_recommendations": 5})).json()
    users = [item["count"] for item in answer["items"]]
    assert users == sorted(MODEL.popularity.tolist(), reverse=True)[:5]
    best = int(np.argmax(MODEL.popularity))
    assert answer["items"][0]["item_id"] == MODEL.item_ids[best]
    assert answer["items"][0]["title"] == MODEL.catalogue.titles[best]
    assert answer["model"] == {"algorithm": "nmf", "version": MODEL.version}


@pytest.mark.parametrize("value", ["0", "21", "x"])
async def test_a_bad_number_is_refused(service: Service, value: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get("/items/popular", params={"num_recommendations": value})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


async def test_without_a_champion_the_answer_is_503(service: Service) -> None:
    async with service.running() as client:
        assert (await client.get("/items/popular")).json()["code"] == "not_ready"


async def test_the_popular_list_is_the_same_for_everybody_and_whole(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        before = (await client.get("/items/popular")).json()["items"]
        assert len(before) == 10
        await client.post("/events", content=event_json(user_id="u0", item_id=before[0]["item_id"]))
        assert (await client.get("/items/popular")).json()["items"] == before, "counts change with the next model"
        longest = (await client.get("/items/popular", params={"num_recommendations": 20})).json()["items"]
    assert longest[:10] == before
    assert len({item["item_id"] for item in longest}) == 20


async def test_a_bad_number_is_a_problem_that_names_the_parameter(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get("/items/popular", params={"num_recommendations": "21"})
    problem = problem_of(response, 400, "invalid_request")
    assert problem["errors"][0]["key"] == "num_recommendations"
    assert "20" in problem["errors"][0]["message"]


async def test_similar_items_are_the_nearest_by_cosine_without_the_item_itself(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = (await client.get("/items/i07/similar", params={"num_items": 20})).json()
        assert len((await client.get("/items/i07/similar")).json()["items"]) == 10
    factors = MODEL.ranking.item_factors.astype(np.float64)
    cosines = factors @ factors[7] / np.linalg.norm(factors, axis=1) / np.linalg.norm(factors[7])
    expected = [item for item in np.argsort(-cosines).tolist() if item != 7][:20]
    assert [item["item_id"] for item in answer["items"]] == [MODEL.item_ids[item] for item in expected]
    assert [item["title"] for item in answer["items"]] == [MODEL.catalogue.titles[item] for item in expected]
    np.testing.assert_allclose([item["similarity"] for item in answer["items"]], cosines[expected], atol=1e-6)
    assert (answer["item_id"], answer["title"]) == ("i07", MODEL.catalogue.titles[7])
    assert answer["model"] == {"algorithm": "nmf", "version": MODEL.version}


@pytest.mark.parametrize("item_id", ["a/b", "/", "100%", "%2F", "ä ö", "日本", "?x=1#y", "popular", "x" * 256])
async def test_odd_item_ids_are_found_percent_encoded(service: Service, item_id: str) -> None:
    service.publish(make_model(item_ids=sorted([item_id, "b1", "b2", "b3"])))
    async with service.ready() as client:
        response = await client.get(f"/items/{quote(item_id, safe='')}/similar")
    assert response.status_code == 200, response.text
    assert response.json()["item_id"] == item_id
    assert {item["item_id"] for item in response.json()["items"]} == {"b1", "b2", "b3"}


async def test_an_unknown_item_is_not_found(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        problem = problem_of(await client.get("/items/no%2Fsuch/similar"), 404, "unknown_item")
    assert "'no/such'" in problem["detail"]


@pytest.mark.parametrize("encoded", ["%00", "%zz", "x" * 257, "%C3%28"])
async def test_an_id_that_no_item_can_have_is_refused(service: Service, encoded: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        status, media_type, body = await get_raw(client, f"/items/{encoded}/similar".encode())
    assert (status, media_type) == (400, "application/problem+json")
    assert b'"code":"invalid_item_id"' in body
    assert b'"detail":"item_id: ' in body


@pytest.mark.parametrize("value", ["0", "21", "x"])
async def test_a_bad_number_of_similar_items_is_refused(service: Service, value: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get("/items/i07/similar", params={"num_items": value})
    assert problem_of(response, 400, "invalid_request")["errors"][0]["key"] == "num_items"


async def test_without_a_champion_there_are_no_similar_items(service: Service) -> None:
    async with service.running() as client:
        problem_of(await client.get("/items/i07/similar"), 503, "not_ready")


def ago(**duration: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(**duration)


def micros(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def model_of(*past: tuple[str, str, dt.datetime], start: int = 0) -> FactorModel:
    """A model that knows ratings by (user, item, time), up to an offset of partition 0."""
    items = [f"i{number}" for number in range(6)]
    events = [make_event(user, item, timestamp_us=micros(moment)) for user, item, moment in past]
    users = sorted({user for user, _, _ in past})
    position = Position(topic="user_interactions", next_offsets={"0": start})
    return make_model(history=history_of(events, users, items), user_ids=users, item_ids=items, position=position)


async def popular(client: Client, window: str, **parameters: int) -> dict[str, int]:
    response = await client.get("/items/popular", params={"window": window, **parameters})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["window"], answer["counted"]) == (window, "interactions")
    assert abs(micros(dt.datetime.fromisoformat(answer["as_of"])) - micros(ago())) < 60_000_000
    return {item["item_id"]: item["count"] for item in answer["items"]}


async def test_a_window_counts_interactions_of_the_past_and_live_ones(service: Service) -> None:
    service.publish(
        model_of(
            ("u0", "i0", ago(minutes=10)),
            ("u1", "i0", ago(hours=5)),
            ("u0", "i1", ago(hours=5)),
            ("u1", "i2", ago(days=3)),
            ("u2", "i3", ago(days=20)),
            ("u2", "i4", ago(days=50)),
        )
    )
    live = [("u9", "i1", ago(minutes=1)), ("u8", "new", ago(minutes=2)), ("u8", "i2", ago(days=2))]
    for user_id, item_id, moment in live:
        service.topic.append(event_json(user_id=user_id, item_id=item_id, timestamp=moment.isoformat()))
    service.topic.append(
        event_json(user_id="u9", item_id="i5", event_type="remove", rating=None, timestamp=ago(seconds=1).isoformat())
    )
    async with service.ready() as client:
        assert await popular(client, "1_hour") == {"i0": 1, "i1": 1, "new": 1}
        assert await popular(client, "24_hours") == {"i0": 2, "i1": 2, "new": 1}
        assert await popular(client, "7_days") == {"i0": 2, "i1": 2, "i2": 2, "new": 1}
        assert await popular(client, "30_days") == {"i0": 2, "i1": 2, "i2": 2, "i3": 1, "new": 1}
        assert list(await popular(client, "30_days", num_recommendations=3)) == ["i0", "i1", "i2"]


async def test_live_events_inside_the_model_do_not_count_twice(service: Service) -> None:
    moment = ago(minutes=5)
    service.topic.append(event_json(user_id="u0", item_id="i0", timestamp=moment.isoformat()))
    older = msgspec.structs.replace(model_of(("u0", "i1", moment)).manifest, version="older")
    service.publish(dataclasses.replace(model_of(("u0", "i1", moment)), manifest=older))
    async with service.ready() as client:
        assert await popular(client, "1_hour") == {"i0": 1, "i1": 1}
        service.publish(model_of(("u0", "i0", moment), ("u0", "i1", moment), start=1))
        await until(lambda: _serves(client, "svd-20240101T000000Z-00000000"))
        assert await popular(client, "1_hour") == {"i0": 1, "i1": 1}


async def _serves(client: Client, version: str) -> bool:
    return bool((await client.get("/model")).json()["version"] == version)


async def test_a_window_without_interactions_is_empty_and_is_kept_for_a_second(service: Service) -> None:
    service.publish(model_of(("u0", "i0", ago(days=400))))
    async with service.ready() as client:
        assert await popular(client, "30_days") == {}
        await client.post("/events", content=event_json(item_id="i0", timestamp=ago(seconds=1).isoformat()))
        assert await popular(client, "30_days") == {}, "counted less than a second ago"
        assert await popular(client, "7_days") == {"i0": 1}


async def test_an_unknown_window_is_refused(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get("/items/popular", params={"window": "1_week"})
    assert problem_of(response, 400, "invalid_request")["errors"][0]["key"] == "window"


def test_the_windows_are_those_of_profiles() -> None:
    names = tuple(window.name for window in WINDOWS)
    assert get_args(WindowName) == names
    assert get_args(WindowOrAll) == ("all", *names)
