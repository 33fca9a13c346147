from typing import Any

import httpx
import numpy as np
import pytest

from recommender_serving.engine.explanation import explain_ranking
from recommender_serving.engine.fold_in import fold_in_ranking
from recommender_serving.engine.live_events import user_observations
from tests.factories import make_model
from tests.unit.recommender_serving.service import Client, Service, event_json, items_of, metric, problem_of, recommend

MODEL = make_model("svd", n_users=6, n_items=40)
FACTORS = MODEL.ranking.item_factors


async def ask(client: Client, **body: Any) -> dict[str, Any]:
    """The answer to a body, which must be 200."""
    response = await post(client, **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def post(client: Client, **body: Any) -> httpx.Response:
    return await client.post("/recommendations", json=body)


def categories_of(item_id: str) -> set[str]:
    return set(MODEL.catalogue.categories[MODEL.item_ids.index(item_id)].split("|"))


async def test_without_rules_the_answer_is_that_of_get(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        for user_id in ("u0", "nobody"):
            posted = await ask(client, user_id=user_id, num_recommendations=7)
            got = await recommend(client, user_id, num_recommendations=7)
            assert posted.keys() == got.keys()
            assert posted.pop("ranking_id") != got.pop("ranking_id")
            assert posted == got


@pytest.mark.parametrize("user_id", ["a/b", "ä ö", "100%", "x" * 256, ".."])
async def test_ids_that_do_not_fit_a_path_work(service: Service, user_id: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id=user_id))
        answer = await ask(client, user_id=user_id)
        assert (answer["user_id"], answer["source"]) == (user_id, "folded_in")


async def test_a_number_and_its_digits_are_the_same_user(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id=123))
        assert items_of(await ask(client, user_id=123)) == items_of(await ask(client, user_id="123"))
        assert (await ask(client, user_id=123))["source"] == "folded_in"


async def test_several_users_get_what_each_would_get_alone(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        users = [f"u{number}" for number in range(6)] + ["nobody", "u0", 7]
        answer = await ask(client, users=users, num_recommendations=5)
        assert [entry["user_id"] for entry in answer["lists"]] == [str(user) for user in users]
        for entry in answer["lists"]:
            assert items_of(entry) == items_of(await recommend(client, entry["user_id"], num_recommendations=5))
        assert len({entry["ranking_id"] for entry in answer["lists"]}) == len(users)


async def test_a_session_is_folded_in_like_a_user_with_these_events(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        events = [event_json(user_id="s", item_id="i03", rating=5), event_json(user_id="s", item_id="i07", rating=2)]
        events.append(event_json(user_id="s", item_id="i09", event_type="click", rating=None))
        await client.post("/events", content=b"\n".join(events))
        session = [{"item_id": "i03", "rating": 5}, {"item_id": "i07", "rating": 2, "event_type": "rating"}, "i09"]
        answer = await ask(client, items=session)
        assert "user_id" not in answer
        assert answer["source"] == "folded_in"
        as_user = await recommend(client, "s")
        assert answer["recommendations"] == as_user["recommendations"]
        assert not {"i03", "i07", "i09"} & set(items_of(answer))


async def test_nothing_of_a_session_is_kept(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        await ask(client, items=["i03"])
        assert service.topic.records == []
        assert (await ask(client, items=[]))["source"] == "popular"


async def test_the_latest_entry_about_an_item_counts(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        twice = await ask(client, items=[{"item_id": "i03", "rating": 1}, {"item_id": "i03", "rating": 5}])
        once = await ask(client, items=[{"item_id": "i03", "rating": 5}])
        assert twice["recommendations"] == once["recommendations"]


async def test_unknown_items_of_a_session_are_named(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = await ask(client, items=["i03", "nothing", 5])
        assert answer["unknown_items"] == ["nothing", "5"]


async def test_seen_and_excluded_items_are_left_out(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        all_items = items_of(await ask(client, user_id="u0", exclude_seen=False, num_recommendations=20))
        rest = items_of(
            await ask(client, user_id="u0", exclude_seen=False, exclude_items=[*all_items[:3], "unknown", 9])
        )
        assert rest == all_items[3:13]
        assert items_of(await ask(client, user_id="u0")) != all_items[:10]


async def test_categories_are_included_and_excluded(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        drama = items_of(await ask(client, user_id="u0", include_categories=["Drama"]))
        assert len(drama) == 10
        assert all("Drama" in categories_of(item) for item in drama)
        action = items_of(await ask(client, user_id="u0", exclude_categories=["Drama"]))
        assert all(categories_of(item) == {"Action"} for item in action)
        none = await ask(client, user_id="u0", include_categories=["Drama"], exclude_categories=["Comedy"])
        assert none["recommendations"] == []


@pytest.mark.parametrize(
    ("caps", "n_action", "n_drama"), [(3, 3, 3), ({"Drama": 2}, 8, 2), ({"Action": 1, "Comedy": 4}, 1, 4)]
)
async def test_caps_hold(service: Service, caps: int | dict[str, int], n_action: int, n_drama: int) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        items = items_of(await ask(client, user_id="u0", max_per_category=caps, exclude_seen=False))
        assert sum("Action" in categories_of(item) for item in items) == n_action
        assert sum("Drama" in categories_of(item) for item in items) == n_drama


async def test_boosts_lift_items_and_categories_and_the_score_shows_it(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        plain = await ask(client, user_id="u0", num_recommendations=20)
        last = plain["recommendations"][19]
        boosted = await ask(client, user_id="u0", boosts={"items": {last["item_id"]: 1000.0}})
        if last["score"] > 0:
            assert boosted["recommendations"][0]["item_id"] == last["item_id"]
            assert boosted["recommendations"][0]["score"] == pytest.approx(1000 * last["score"], rel=1e-3)
        drama = await ask(client, user_id="u0", boosts={"categories": {"Drama": 1e6, "Action": 1e-6}})
        assert all("Drama" in categories_of(item) for item in items_of(drama)[:5])


async def test_diversity_and_discount_change_the_list(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        plain = items_of(await ask(client, user_id="u0"))
        diverse = items_of(await ask(client, user_id="u0", diversity=0.8))
        assert diverse[0] == plain[0]
        assert diverse != plain
        assert items_of(await ask(client, user_id="u0", popularity_discount=1.0)) != plain


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
@pytest.mark.parametrize("rules", [{}, {"popularity_discount": 0.7, "boosts": {"categories": {"Drama": 3.0}}}])
async def test_explanations_add_up_to_score_and_stars(service: Service, algorithm: str, rules: dict[str, Any]) -> None:
    service.publish(make_model(algorithm, n_users=6, n_items=40, events_per_user=30))
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id="u1", item_id="i20", rating=1.0))
        for asker in ({"user_id": "u0"}, {"user_id": "u1"}, {"items": ["i03", {"item_id": "i09", "rating": 5}]}):
            answer = await ask(client, **asker, **rules, explain=True, exclude_seen=False)
            for entry in answer["recommendations"]:
                score, stars = entry["explanation"]["score"], entry["explanation"]["predicted_rating"]
                total = score["base"] + score["other_items"] + score["rules"]
                total += sum(term["contribution"] for term in score["items"])
                assert total == pytest.approx(entry["score"], abs=1e-5)
                total = sum(stars[term] for term in ("average", "item", "user", "base", "other_items", "clipped"))
                total += sum(term["contribution"] for term in stars["items"])
                assert total == pytest.approx(entry["predicted_rating"], abs=1e-5)
                assert 1 <= len(score["items"]) <= 5


async def test_an_explanation_names_the_items_of_the_past(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = await ask(client, items=["i03", "i09"], explain=True, num_recommendations=3)
        observed = user_observations(MODEL, (), "u0")
        assert len(observed.items)
        for entry in answer["recommendations"]:
            named = {term["item_id"]: term for term in entry["explanation"]["score"]["items"]}
            assert set(named) == {"i03", "i09"}
            assert named["i03"]["title"] == "Film i03"
        items, strengths = np.array([3, 9]), np.full(2, 0.2, np.float32)
        best = MODEL.item_ids.index(items_of(answer)[0])
        vector = fold_in_ranking(MODEL.ranking, items, strengths)
        assert answer["recommendations"][0]["score"] == pytest.approx(FACTORS[best] @ vector, abs=1e-5)


async def test_the_five_strongest_reasons_are_named_and_the_rest_is_one_number(service: Service) -> None:
    service.publish(MODEL)
    past = [f"i{number:02d}" for number in range(9)]
    async with service.ready() as client:
        answer = await ask(client, items=past, explain=True, num_recommendations=3)
    items, strengths = np.arange(9), np.full(9, 0.2, np.float32)
    for entry in answer["recommendations"]:
        listed = FACTORS[[MODEL.item_ids.index(entry["item_id"])]]
        contributions = explain_ranking(MODEL.ranking, items, strengths, listed).contributions[0]
        strongest = sorted(contributions, key=abs, reverse=True)
        score = entry["explanation"]["score"]
        assert [term["contribution"] for term in score["items"]] == pytest.approx(strongest[:5], abs=1e-6)
        assert score["other_items"] == pytest.approx(sum(strongest[5:]), abs=1e-6)


async def test_a_popular_list_is_explained_by_its_number_of_users(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = await ask(client, user_id="nobody", explain=True, boosts={"items": {"i03": 100.0}})
        first = answer["recommendations"][0]
        assert first["item_id"] == "i03"
        score = first["explanation"]["score"]
        assert score["base"] == MODEL.popularity[3]
        assert score["base"] + score["rules"] == pytest.approx(first["score"])
        assert score["items"] == []


async def test_lists_are_counted_by_source(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        await ask(client, users=["u0", "nobody"])
        assert await metric(client, 'recommender_recommendations_total{source="popular"}') == 1
        assert await metric(client, 'recommender_recommendations_total{source="personalized"}') == 1


@pytest.mark.parametrize(
    "body",
    [
        {"user_id": "u0", "include_categories": ["Horror"]},
        {"user_id": "u0", "exclude_categories": ["Horror"]},
        {"user_id": "u0", "max_per_category": {"Horror": 1}},
        {"user_id": "u0", "boosts": {"categories": {"Horror": 2}}},
    ],
)
async def test_a_category_that_does_not_exist_is_refused(service: Service, body: dict[str, Any]) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        assert "Horror" in problem_of(await post(client, **body), 400, "invalid_body")["detail"]


async def test_an_algorithm_that_is_not_in_service_is_a_conflict(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        assert items_of(await ask(client, user_id="u0", algorithm="svd"))
        problem_of(await post(client, user_id="u0", algorithm="nmf"), 409, "algorithm_not_deployed")


async def test_a_body_that_breaks_a_rule_is_refused_before_anything_is_done(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        problem = problem_of(await post(client, user_id="u0", diversity=2), 400, "invalid_body")
        assert problem["detail"] == "diversity: expected a number in 0..1, got 2"
        problem_of(await client.post("/recommendations", content=b"{"), 400, "malformed_body")
        problem_of(await client.post("/recommendations", content=b"x" * 300_000), 413, "body_too_large")


async def test_before_there_is_a_model_the_answer_is_503(service: Service) -> None:
    async with service.running() as client:
        problem_of(await post(client, user_id="u0"), 503, "not_ready")


async def test_a_large_catalogue_is_ranked_beside_the_event_loop(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommender_serving.requested_lists.LARGE_CATALOGUE", 10)
    service.publish(MODEL)
    async with service.ready() as client:
        items = items_of(await ask(client, user_id="u0", max_per_category=2))
        assert len(items) == 4


async def test_the_body_is_described_with_its_limits(service: Service) -> None:
    async with service.running() as client:
        schema = (await client.get("/schema/openapi.json")).json()
    operation = schema["paths"]["/recommendations"]["post"]
    assert operation["operationId"] == "recommend"
    assert set(operation["responses"]) == {"200", "400", "409", "413", "429", "500", "503"}
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/RecommendationRequest"}
    properties = schema["components"]["schemas"]["RecommendationRequest"]["properties"]
    assert (properties["num_recommendations"]["minimum"], properties["num_recommendations"]["maximum"]) == (1, 20)
    assert (properties["diversity"]["minimum"], properties["diversity"]["maximum"]) == (0, 1)
