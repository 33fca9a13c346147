from urllib.parse import quote

import numpy as np
import pytest

from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, event_json, get_raw, problem_of

MODEL = make_model("nmf", n_users=8, n_items=30)


async def test_popular_items_come_with_their_users_most_first(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = (await client.get("/items/popular", params={"num_recommendations": 5})).json()
    users = [item["users"] for item in answer["items"]]
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
