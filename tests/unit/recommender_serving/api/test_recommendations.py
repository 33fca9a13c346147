import asyncio
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.history import observe
from recommender_serving.engine.ranking import top_n
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, event_json, items_of, recommend, until

MODEL = make_model("svd", n_users=6, n_items=40)


def expected_items(user: int, n: int, *, exclude_seen: bool = True) -> list[str]:
    observations = observe(MODEL.history, EventWeights(), RatingScale())
    seen = observations.item[observations.rows_of(user)] if exclude_seen else np.empty(0, np.int32)
    scores = MODEL.ranking.item_factors @ MODEL.ranking.user_factors[user]
    return [MODEL.item_ids[int(item)] for item in top_n(scores, n, seen)]


async def test_a_known_user_gets_the_ranking_heads_order_with_stars(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = await recommend(client, "u0", num_recommendations=5)
        assert items_of(answer) == expected_items(0, 5)
        item = MODEL.item_ids.index(answer["recommendations"][0]["item_id"])
        rating = MODEL.rating
        stars = rating.global_mean + rating.user_bias[0] + rating.item_bias[item]
        stars += rating.user_factors[0] @ rating.item_factors[item]
        assert answer["recommendations"][0]["predicted_rating"] == pytest.approx(np.clip(stars, 0.5, 5.0), abs=1e-5)
        assert answer["recommendations"][0]["title"] == MODEL.catalogue.titles[item]
        assert answer["user_id"] == "u0"
        assert answer["model"] == {"algorithm": "svd", "version": MODEL.version}
        assert answer["source"] == "personalized"
        assert answer["experiment"] is None
        assert answer["as_of"] == MODEL.manifest.created_at


async def test_seen_items_are_left_out_unless_asked_for(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        assert items_of(await recommend(client, "u1", num_recommendations=20)) == expected_items(1, 20)
        with_seen = await recommend(client, "u1", num_recommendations=20, exclude_seen="false")
        assert items_of(with_seen) == expected_items(1, 20, exclude_seen=False)
        assert items_of(with_seen) != expected_items(1, 20)


async def test_every_answer_has_a_ranking_id_of_its_own(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answers = [await recommend(client, "u0") for _ in range(3)]
        assert len({answer["ranking_id"] for answer in answers}) == 3
        assert items_of(answers[0]) == items_of(answers[2])
        assert len(answers[0]["recommendations"]) == 10


async def test_an_unknown_user_gets_the_popular_list(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = await recommend(client, "nobody", num_recommendations=7)
        assert answer["source"] == "popular"
        popular = (await client.get("/items/popular", params={"num_recommendations": 7})).json()
        assert items_of(answer) == [item["item_id"] for item in popular["items"]]


@pytest.mark.parametrize("value", ["0", "21", "-1", "abc", "1.5", ""])
async def test_a_bad_number_is_a_problem_that_names_the_parameter(service: Service, value: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get("/recommendations/user/u0", params={"num_recommendations": value})
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["code"] == "invalid_request"
        assert problem["errors"][0]["key"] == "num_recommendations"


@pytest.mark.parametrize("number", ["1", "20"])
async def test_the_limits_themselves_are_allowed(service: Service, number: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        assert len((await recommend(client, "u0", num_recommendations=number))["recommendations"]) == int(number)


@pytest.mark.parametrize(
    "user_id", ["a/b", "/", "a//b/", "ä ö", "100%", "?x=1#y", "...", "a+b", "日本", "x" * 256, '"', "{user_id}"]
)
async def test_odd_ids_arrive_as_they_were_sent(service: Service, user_id: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        assert (await recommend(client, quote(user_id, safe="")))["user_id"] == user_id


@pytest.mark.parametrize("encoded", ["x" * 257, "a%00b", "a%0Ab", "%ff"])
async def test_ids_that_no_event_may_have_are_refused(service: Service, encoded: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get(f"/recommendations/user/{encoded}")
        assert response.status_code == 400
        assert response.json()["code"] == "invalid_user_id"


async def test_without_a_champion_the_answer_is_503(service: Service) -> None:
    async with service.running() as client:
        response = await client.get("/recommendations/user/u0")
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["code"] == "not_ready"
        assert "no champion" in response.json()["detail"]


async def test_events_in_the_topic_change_the_list_and_the_time(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        before = await recommend(client, "u0", num_recommendations=20)
        liked = items_of(before)[0]
        service.topic.append(event_json(user_id="u0", item_id=liked, rating=5.0))

        async def folded_in() -> bool:
            return (await recommend(client, "u0"))["source"] == "folded_in"

        await until(folded_in)
        after = await recommend(client, "u0", num_recommendations=20)
        assert liked not in items_of(after)
        assert after["as_of"] == "2024-01-01T12:00:00Z"
        assert [entry["score"] for entry in after["recommendations"]] != [
            entry["score"] for entry in before["recommendations"]
        ]


async def test_items_that_the_model_does_not_know_are_listed(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        sent = await client.post("/events", content=event_json(user_id="new", item_id="unheard-of"))
        assert sent.json()["accepted"] == 1
        answer = await recommend(client, "new")
        assert answer["unknown_items"] == ["unheard-of"]
        assert answer["source"] == "popular"


def entries_of(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(entry["item_id"], entry["score"]) for entry in answer["recommendations"]]


async def test_a_swap_under_load_never_mixes_models(service: Service) -> None:
    """Two models whose factors have nothing in common: each answer must be entirely one of the two."""
    other = make_model("svd", n_users=6, n_items=40, seed=7)
    service.publish(MODEL)
    expected = {}
    async with service.ready() as client:
        answers = []

        async def ask(requests: int) -> None:
            for _ in range(requests):
                answers.append(await recommend(client, "u2", num_recommendations=20))
                await asyncio.sleep(0)

        async def swap() -> None:
            for model in (other, MODEL, other):
                service.publish(model)
                await until(lambda model=model: serves(model.version))

        async def serves(version: str) -> bool:
            answer = await recommend(client, "u2", num_recommendations=20)
            expected.setdefault(
                answer["model"]["version"], [(e["item_id"], e["score"]) for e in answer["recommendations"]]
            )
            return bool(answer["model"]["version"] == version)

        await asyncio.gather(swap(), *(ask(40) for _ in range(4)))
    assert set(expected) == {MODEL.version, other.version}
    assert expected[MODEL.version] != expected[other.version]
    for answer in answers:
        assert entries_of(answer) == expected[answer["model"]["version"]]
