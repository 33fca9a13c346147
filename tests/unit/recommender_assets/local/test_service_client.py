from typing import Any

import pytest

from recommender_assets.local import service_client
from recommender_assets.local.service_client import ServiceClient, ServiceError


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (404, False)])
def test_only_a_service_that_says_so_is_ready(http_server: Any, status: int, ready: bool) -> None:  # noqa: FBT001
    http_server.answers = [(status, {"status": "?"})]
    with ServiceClient(http_server.address) as client:
        assert client.is_ready() is ready
    assert http_server.asked == [("GET", "/health/ready", None)]


def test_a_service_that_does_not_listen_is_not_ready() -> None:
    with ServiceClient("http://127.0.0.1:9") as client:
        assert not client.is_ready()


@pytest.mark.parametrize(
    ("user", "path"), [("7", "7"), ("a/b", "a%2Fb"), ("a b?c", "a%20b%3Fc"), ("ü", "%C3%BC"), ("%41", "%2541")]
)
def test_any_user_id_is_one_part_of_the_path(http_server: Any, user: str, path: str) -> None:
    answer = {"user_id": user, "recommendations": []}
    http_server.answers = [(200, answer)]
    with ServiceClient(http_server.address) as client:
        assert client.recommendations(user, 3) == answer
    assert http_server.asked == [("GET", f"/recommendations/user/{path}?num_recommendations=3", None)]


def test_ten_are_asked_for_by_default(http_server: Any) -> None:
    http_server.answers = [(200, {})]
    with ServiceClient(http_server.address) as client:
        client.recommendations("7")
    assert http_server.asked[0][1].endswith("?num_recommendations=10")


def test_another_answer_is_an_error_with_user_status_and_text(http_server: Any) -> None:
    http_server.answers = [(503, "no champion yet")]
    with (
        ServiceClient(http_server.address) as client,
        pytest.raises(ServiceError, match="user 7, got 503: no champion"),
    ):
        client.recommendations("7")


def test_an_algorithm_can_be_asked_for(http_server: Any) -> None:
    http_server.answers = [(200, {})]
    with ServiceClient(http_server.address) as client:
        client.recommendations("7", algorithm="nmf")
    assert http_server.asked[0][1].endswith("&algorithm=nmf")


EVENTS = [{"user_id": "7", "item_id": "1"}, {"user_id": "7", "item_id": "2"}]


def test_events_are_sent_as_one_list_and_none_is_no_request(http_server: Any) -> None:
    http_server.answers = [(200, {"accepted": 2, "rejected": 0})]
    with ServiceClient(http_server.address) as client:
        client.send_events([])
        client.send_events(EVENTS)
    assert http_server.asked == [("POST", "/events", EVENTS)]


def test_events_that_could_not_be_stored_in_time_are_sent_again(
    http_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_client, "_PAUSE_SECONDS", 0.0)
    http_server.answers = [(503, "not stored"), (200, {"accepted": 2, "rejected": 0})]
    with ServiceClient(http_server.address) as client:
        client.send_events(EVENTS)
    assert len(http_server.asked) == 2


@pytest.mark.parametrize(("status", "answer"), [(503, "busy"), (400, "bad"), (200, {"accepted": 1, "rejected": 1})])
def test_events_that_are_not_all_taken_are_an_error(
    http_server: Any, monkeypatch: pytest.MonkeyPatch, status: int, answer: Any
) -> None:
    monkeypatch.setattr(service_client, "_PAUSE_SECONDS", 0.0)
    http_server.answers = [(status, answer)]
    with ServiceClient(http_server.address) as client, pytest.raises(ServiceError, match="expected 2 events"):
        client.send_events(EVENTS)
