import numpy as np
import pytest

from tests.factories import make_model
from tests.unit.recommender_serving.service import Service

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
