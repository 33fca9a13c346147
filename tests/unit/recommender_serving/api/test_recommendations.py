import asyncio
import re
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.history import observe
from recommender_serving.engine.ranking import top_n
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, event_json, items_of, metric, problem_of, recommend, until

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


async def test_a_number_over_the_maximum_is_refused_with_the_limit(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        for path in ("/recommendations/user/u0", "/items/popular"):
            response = await client.get(path, params={"num_recommendations": 21})
            problem = problem_of(response, 400, "invalid_request")
            assert problem["detail"] == "num_recommendations: Expected int <= 20"


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


@pytest.mark.parametrize("value", ["true", "1", "True", "false", "0", "FALSE"])
async def test_exclude_seen_takes_the_usual_spellings(service: Service, value: str) -> None:
    service.publish(MODEL)
    excludes = value.lower() in {"true", "1"}
    async with service.ready() as client:
        answer = await recommend(client, "u1", num_recommendations=20, exclude_seen=value)
    assert items_of(answer) == expected_items(1, 20, exclude_seen=excludes)


@pytest.mark.parametrize("value", ["maybe", "2", "", "tru", "-1"])
async def test_exclude_seen_takes_nothing_else(service: Service, value: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.get("/recommendations/user/u0", params={"exclude_seen": value})
    assert problem_of(response, 400, "invalid_request")["errors"][0]["key"] == "exclude_seen"


async def test_without_parameters_ten_unseen_items_are_listed(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        assert items_of(await recommend(client, "u1")) == expected_items(1, 10)


@pytest.mark.parametrize("user_id", ["u1", "nobody"])
async def test_a_kept_list_differs_from_a_fresh_one_by_its_ranking_id_only(service: Service, user_id: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        solves = await metric(client, "recommender_user_solve_duration_seconds_count")
        fresh, kept = await recommend(client, user_id), await recommend(client, user_id)
        solved = await metric(client, "recommender_user_solve_duration_seconds_count") - solves
        assert solved == (user_id == "u1"), "a stranger needs no solve"
    assert fresh.pop("ranking_id") != kept.pop("ranking_id")
    assert fresh == kept
    async with service.ready() as client:
        again = await recommend(client, user_id)
    assert again.pop("ranking_id")
    assert again == fresh, "nor does a replica that never kept it answer otherwise"


async def test_ranking_ids_are_unique_among_users_replicas_and_parameters(service: Service) -> None:
    service.publish(MODEL)
    seen = []
    for _ in range(2):
        async with service.ready() as client:
            asked = [(user, n) for user in ("u0", "u1", "nobody", "u0") for n in (1, 5)]
            seen += [(await recommend(client, user, num_recommendations=n))["ranking_id"] for user, n in asked]
    assert len(set(seen)) == len(seen) == 16
    assert all(re.fullmatch("[0-9a-f]{28}", ranking_id) for ranking_id in seen)


async def test_a_kept_list_ends_with_the_users_event_with_a_forget_and_with_a_swap(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        trained = await recommend(client, "u1")
        bystander = items_of(await recommend(client, "u2"))
        best = items_of(trained)[0]
        await client.post("/events", content=event_json(user_id="u1", item_id=best, rating=1.0))
        folded = await recommend(client, "u1")
        assert folded["source"] == "folded_in"
        assert best not in items_of(folded)
        await client.post("/events", content=event_json(user_id="u1", event_type="forget", timestamp=1_704_200_000))
        forgotten = await recommend(client, "u1")
        assert forgotten["source"] == "popular"
        assert items_of(forgotten) == items_of(await recommend(client, "nobody"))
        assert items_of(await recommend(client, "u2")) == bystander
        other = make_model("svd", n_users=6, n_items=40, seed=9)
        service.publish(other)

        async def swapped() -> bool:
            return bool((await recommend(client, "u2"))["model"]["version"] == other.version)

        await until(swapped)
        assert items_of(await recommend(client, "u2")) != bystander


async def test_a_user_who_took_everything_back_gets_the_popular_list(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        rated = [event_json(user_id="new", item_id=item, timestamp=1_700_000_000) for item in ("i05", "i06")]
        taken_back = [
            event_json(user_id="new", item_id=item, event_type="remove", timestamp=1_700_000_001)
            for item in ("i05", "i06")
        ]
        await client.post("/events", content=b"\n".join([*rated, taken_back[0]]))
        partly = await recommend(client, "new", num_recommendations=20)
        assert partly["source"] == "folded_in"
        await client.post("/events", content=taken_back[1])
        answer = await recommend(client, "new", num_recommendations=20)
        stranger = await recommend(client, "nobody", num_recommendations=20)
    assert answer["source"] == "popular"
    assert answer["recommendations"] == stranger["recommendations"]
    assert answer["as_of"] == "2023-11-14T22:13:21Z", "the time of the newest event, although it took one back"


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
async def test_scores_and_stars_of_every_entry_equal_the_formula(service: Service, algorithm: str) -> None:
    model = make_model(algorithm, n_users=6, n_items=40, seed=4)
    model.rating.item_factors[:10] *= 30  # beyond both ends of the scale
    service.publish(model)
    async with service.ready() as client:
        answer = await recommend(client, "u3", num_recommendations=20, exclude_seen="false")
    items = [model.item_ids.index(item) for item in items_of(answer)]
    head = model.rating
    stars = head.global_mean + head.user_bias[3] + head.item_bias[items]
    stars = stars + head.item_factors[items].astype(float) @ head.user_factors[3].astype(float)
    scores = model.ranking.item_factors[items] @ model.ranking.user_factors[3]
    assert [entry["predicted_rating"] for entry in answer["recommendations"]] == pytest.approx(
        np.clip(stars, 0.5, 5.0).tolist(), abs=1e-4
    )
    assert [entry["score"] for entry in answer["recommendations"]] == pytest.approx(scores.tolist(), abs=1e-5)
    assert stars.max() > 5.0, "clipping was needed"
