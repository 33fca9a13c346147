import numpy as np
import pytest

from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, event_json, problem_of

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
