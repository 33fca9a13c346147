from unittest.mock import patch

import pytest

from recommender_serving.snapshot import Snapshot
from tests.factories import make_model
from tests.unit.recommender_serving.service import Service, items_of, metric, problem_of, recommend

MODEL = make_model(n_users=6, n_items=40)
ROUTED = "recommender_serving.api.recommendations.decoded_user_id"


@pytest.mark.parametrize(
    "query", ["", "?num_recommendations=3", "?exclude_seen=false", "?exclude_seen=0&num_recommendations=20"]
)
async def test_a_plain_request_never_reaches_the_route_and_gets_what_the_route_would_answer(
    service: Service, query: str
) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        with patch(ROUTED, side_effect=AssertionError):
            fast = await client.get(f"/recommendations/user/u1{query}")
        with patch("recommender_serving.user_list_front.UserListFront._parameters", return_value=None):
            routed = await client.get(f"/recommendations/user/u1{query}")
    assert fast.headers["content-type"] == routed.headers["content-type"] == "application/json"
    assert fast.json() | {"ranking_id": ""} == routed.json() | {"ranking_id": ""}
    assert fast.json()["ranking_id"] != routed.json()["ranking_id"]


@pytest.mark.parametrize(
    "query", ["num_recommendations=%31", "exclude_seen=True", "num_recommendations=3&num_recommendations=3"]
)
async def test_an_unusual_request_is_answered_as_well(service: Service, query: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answer = await client.get(f"/recommendations/user/u1?{query}")
    assert answer.status_code == 200
    assert len(answer.json()["recommendations"]) in {1, 3, 10}


@pytest.mark.parametrize(
    ("query", "code", "named"),
    [
        ("num_recommendations=0", "invalid_request", "num_recommendations"),
        ("num_recommendations=21", "invalid_request", "num_recommendations"),
        ("num_recommendations=99999999999999999999", "invalid_request", "num_recommendations"),
        ("num_recommendations=", "invalid_request", "num_recommendations"),
        ("exclude_seen=maybe", "invalid_request", "exclude_seen"),
        ("diversity=0.5", "unknown_parameter", "diversity"),
        ("num_recommendations=3&n=4", "unknown_parameter", "n"),
    ],
)
async def test_what_is_wrong_with_a_parameter_is_named(service: Service, query: str, code: str, named: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        problem = problem_of(await client.get(f"/recommendations/user/u1?{query}"), 400, code)
    assert named in str(problem)


async def test_an_id_may_hold_anything_that_an_event_may(service: Service) -> None:
    service.publish(make_model(n_items=40, user_ids=["a b", "a/b", "ä%", "ü@x.org"]))
    async with service.ready() as client:
        for encoded, user_id in (("a%20b", "a b"), ("a%2Fb", "a/b"), ("%C3%A4%25", "ä%"), ("%C3%BC@x.org", "ü@x.org")):
            response = await client.get(f"/recommendations/user/{encoded}")
            assert (response.json()["user_id"], response.json()["source"]) == (user_id, "personalized")


async def test_a_failing_fast_path_leaves_the_answer_to_the_route(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        answered = Snapshot.answer
        with patch.object(Snapshot, "answer", autospec=True, side_effect=[ZeroDivisionError, answered]) as answer:
            answer.side_effect = [ZeroDivisionError("fast"), RuntimeError("routed")]
            problem_of(await client.get("/recommendations/user/u1"), 500, "internal_error")
        assert "the fast path failed" in caplog.text
        assert len(items_of(await recommend(client, "u1"))) == 10


async def test_lists_are_counted_by_route_and_by_source(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        for user in ("u0", "u0", "nobody"):
            await recommend(client, user)
        labels = 'method="GET",route="/recommendations/user/{user_id}",status="200"'
        assert await metric(client, f"recommender_http_request_duration_seconds_count{{{labels}}}") == 3
        assert await metric(client, 'recommender_recommendations_total{source="personalized"}') == 2
        assert await metric(client, 'recommender_recommendations_total{source="popular"}') == 1


async def test_the_number_of_kept_queries_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender_serving.user_list_front._KEPT_QUERIES", 4)
    service.publish(MODEL)
    async with service.ready() as client:
        for number in range(10):
            assert (await client.get(f"/recommendations/user/u1?x={number}")).status_code == 400
        assert len(items_of(await recommend(client, "u1", num_recommendations=7))) == 7


async def test_both_ways_send_the_same_headers(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        for headers in ({}, {"Origin": "https://shop.example"}, {"X-Request-ID": "mine"}, {"If-None-Match": "*"}):
            fast = await client.get("/recommendations/user/u1", headers=headers)
            with patch("recommender_serving.user_list_front.UserListFront._parameters", return_value=None):
                routed = await client.get("/recommendations/user/u1", headers=headers)
            assert fast.status_code == routed.status_code
            assert fast.headers.keys() == routed.headers.keys()
            for name in fast.headers.keys() - {"x-request-id"}:
                assert fast.headers[name] == routed.headers[name]


async def test_an_answer_that_the_client_has_is_neither_counted_nor_logged(service: Service) -> None:
    service.publish(MODEL)
    service.logged_share = 1.0
    async with service.ready() as client:
        tag = (await client.get("/recommendations/user/u1")).headers["etag"]
        again = await client.get("/recommendations/user/u1", headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert await metric(client, 'recommender_recommendations_total{source="personalized"}') == 1
        labels = 'method="GET",route="/recommendations/user/{user_id}",status="304"'
        assert await metric(client, f"recommender_http_request_duration_seconds_count{{{labels}}}") == 1
        assert len(service.log.lists) == 1


async def test_strangers_share_a_list_and_not_its_tag(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        tags = [(await client.get(f"/recommendations/user/{user}")).headers["etag"] for user in ("x", "y", "x", "y")]
    assert tags[:2] == tags[2:]
    assert tags[0] != tags[1]
