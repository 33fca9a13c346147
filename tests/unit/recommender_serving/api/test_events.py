from urllib.parse import quote

import pytest

from tests.factories import history_of, make_event, make_model
from tests.unit.recommender_serving.service import (
    Service,
    event_json,
    is_status,
    items_of,
    problem_of,
    recommend,
    until,
)

MODEL = make_model(n_users=6, n_items=40)


async def test_one_object_a_list_and_lines_are_taken_alike(service: Service) -> None:
    service.publish(MODEL)
    one, two, three = (event_json(item_id=item) for item in ("i01", "i02", "i03"))
    async with service.ready() as client:
        for body in (one, b"[" + two + b"," + three + b"]", b"\n".join((event_json(item_id="i04"), b"", two))):
            assert (await client.post("/events", content=body)).status_code == 200
    assert [record.value for record in service.topic.records] == [one, two, three, event_json(item_id="i04")]


async def test_the_raw_bytes_are_stored_as_they_came(service: Service) -> None:
    service.publish(MODEL)
    body = b'{ "user_id": 123, "item_id": 456,"rating":4.5, "timestamp":"2024-01-01T12:00:00Z", "extra": [1, {}] }'
    async with service.ready() as client:
        answer = (await client.post("/events", content=body)).json()
    assert answer == {"accepted": 1, "duplicate": 0, "rejected": 0, "rejections": []}
    assert service.topic.records[0].value == body


async def test_the_next_list_knows_the_event_although_the_topic_is_not_read_yet(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        service.topic.readable.clear()
        best = items_of(await recommend(client, "u3"))[0]
        sent = await client.post("/events", content=event_json(user_id="u3", item_id=best, rating=0.5))
        assert sent.json()["accepted"] == 1
        answer = await recommend(client, "u3", num_recommendations=20)
        assert answer["source"] == "folded_in"
        assert best not in items_of(answer)


async def test_a_brand_new_user_gets_a_list_of_their_own(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        events = b"\n".join(event_json(user_id="new/one", item_id=item, rating=5.0) for item in ("i05", "i06", "i07"))
        assert (await client.post("/events", content=events)).json()["accepted"] == 3
        answer = await recommend(client, "new%2Fone")
        assert answer["source"] == "folded_in"
        assert not {"i05", "i06", "i07"} & set(items_of(answer))


async def test_the_same_event_again_is_a_duplicate_and_is_stored_once(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        first = await client.post("/events", content=b"\n".join([event_json(), event_json()]))
        again = await client.post("/events", content=event_json())
    assert (first.json()["accepted"], first.json()["duplicate"]) == (1, 1)
    assert again.status_code == 200
    assert (again.json()["accepted"], again.json()["duplicate"]) == (0, 1)
    assert len(service.topic.records) == 1


@pytest.mark.parametrize(
    ("event", "reason", "detail"),
    [
        (b'{"user_id": ', "malformed_json", ""),
        (event_json(rating=6), "rating_out_of_scale", "got 6"),
        (event_json(rating="good"), "wrong_type", "rating"),
        (event_json(timestamp="3000-01-01T00:00:00Z"), "timestamp_too_far_ahead", "timestamp"),
        (event_json(timestamp="2024-01-01T00:00:00"), "timestamp_without_offset", "timestamp"),
        (event_json(event_type="stare"), "unknown_event_type", "event_type"),
        (b'{"user_id": "u", "rating": 4, "timestamp": 1700000000}', "missing_field", "item_id"),
        (event_json(user_id="x" * 257), "invalid_id", "user_id"),
        (b"true", "wrong_type", ""),
    ],
)
async def test_a_bad_event_alone_is_refused_with_its_reason(
    service: Service, event: bytes, reason: str, detail: str
) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        response = await client.post("/events", content=event)
    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == "events_rejected"
    assert problem["rejected"] == 1
    assert (problem["rejections"][0]["index"], problem["rejections"][0]["reason"]) == (0, reason)
    assert detail in problem["rejections"][0]["detail"]
    assert service.topic.records == []


async def test_bad_events_among_good_ones_are_named_by_their_place(service: Service) -> None:
    service.publish(MODEL)
    body = b"\n".join([event_json(item_id="i01"), b"nonsense", event_json(item_id="i02"), event_json(rating=99)])
    async with service.ready() as client:
        response = await client.post("/events", content=body)
    assert response.status_code == 200
    assert (response.json()["accepted"], response.json()["rejected"]) == (2, 2)
    rejections = {rejection["index"]: rejection["reason"] for rejection in response.json()["rejections"]}
    assert rejections == {1: "malformed_json", 3: "rating_out_of_scale"}
    assert len(service.topic.records) == 2


@pytest.mark.parametrize("body", [b"", b"  \n ", b'[{"user_id": 1}', b"[1,]"])
async def test_a_body_that_cannot_be_taken_apart_is_malformed(service: Service, body: bytes) -> None:
    async with service.running() as client:
        response = await client.post("/events", content=body)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_body")


async def test_an_empty_list_is_no_error(service: Service) -> None:
    async with service.running() as client:
        assert (await client.post("/events", content=b"[]")).json()["accepted"] == 0


async def test_a_body_over_the_limit_is_refused(service: Service) -> None:
    async with service.running() as client:
        response = await client.post("/events", content=b" " * (service.settings.api.max_body_bytes + 1))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_events_are_stored_before_there_is_a_champion_and_count_once_there_is(service: Service) -> None:
    async with service.running() as client:
        assert (await client.post("/events", content=event_json(user_id="early"))).json()["accepted"] == 1
        service.publish(MODEL)

        async def folded_in() -> bool:
            return (await client.get("/recommendations/user/early")).json().get("source") == "folded_in"

        await until(folded_in)


async def test_without_kafka_the_answer_is_503_and_nothing_counts(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        service.topic.available.clear()
        response = await client.post("/events", content=b"\n".join([event_json(), event_json(item_id="i09")]))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        problem = response.json()
        assert (problem["code"], problem["stored"], problem["not_stored"]) == ("events_not_stored", 0, 2)
        assert "no broker answers" in problem["detail"]
        service.topic.available.set()
        assert (await client.post("/events", content=event_json())).json()["accepted"] == 1
        metrics = (await client.get("/metrics")).text
    assert 'recommender_events_total{result="failed"} 2.0' in metrics
    assert 'recommender_events_total{result="accepted"} 1.0' in metrics


async def test_a_thousand_events_in_one_body(service: Service) -> None:
    service.publish(MODEL)
    body = b"\n".join(event_json(user_id=number % 7, timestamp=1_700_000_000 + number) for number in range(1000))
    async with service.ready() as client:
        assert (await client.post("/events", content=body)).json()["accepted"] == 1000


ODD_IDS = ["a/b", "/", "100%", "%2F", "%zz", "ä ö", "日本", "?x=1#y", "a+b", "...", "x" * 256, '"', "\\", "\u2028"]


@pytest.mark.parametrize("user_id", ODD_IDS)
async def test_odd_ids_mean_the_same_in_an_event_and_in_the_address(service: Service, user_id: str) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        body = b"\n".join([event_json(user_id=user_id, item_id="i05"), event_json(user_id=user_id, item_id=user_id)])
        assert (await client.post("/events", content=body)).json()["accepted"] == 2
        answer = await recommend(client, quote(user_id, safe=""))
    assert (answer["user_id"], answer["source"]) == (user_id, "folded_in")
    assert "i05" not in items_of(answer)
    assert answer["unknown_items"] == [user_id]


async def test_a_number_and_its_digits_are_one_user(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        await client.post("/events", content=event_json(user_id=123, item_id="i05"))
        assert (await recommend(client, "123"))["source"] == "folded_in"


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\n\n  \n", b"\r\n\r\n", b"\n\t\r\n"])
@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/json", "text/plain"])
async def test_lines_may_end_either_way_and_be_blank(service: Service, separator: bytes, media_type: str) -> None:
    events = [event_json(item_id=item) for item in ("i01", "i02", "i03")]
    body = separator + separator.join(events) + separator
    async with service.running() as client:
        answer = (await client.post("/events", content=body, headers={"content-type": media_type})).json()
    assert answer == {"accepted": 3, "duplicate": 0, "rejected": 0, "rejections": []}
    assert [record.value for record in service.topic.records] == events


async def test_blank_lines_do_not_count_as_places(service: Service) -> None:
    body = b"\r\n".join([event_json(), b"", b"  ", b"nonsense"])
    async with service.running() as client:
        answer = (await client.post("/events", content=body)).json()
    assert [rejection["index"] for rejection in answer["rejections"]] == [1]


async def test_the_refusal_of_all_events_is_a_problem_with_the_counts(service: Service) -> None:
    async with service.running() as client:
        response = await client.post("/events", content=b"\n".join([event_json(rating=6), event_json(user_id=[])]))
    problem = problem_of(response, 422, "events_rejected")
    assert (problem["accepted"], problem["duplicate"], problem["rejected"]) == (0, 0, 2)
    assert [rejection["index"] for rejection in problem["rejections"]] == [0, 1]
    assert problem["rejections"][0]["detail"] in problem["detail"]


async def test_a_duplicate_beside_a_bad_event_is_no_refusal(service: Service) -> None:
    async with service.running() as client:
        service.publish(MODEL)
        await until(lambda: is_status(client, 200))
        await client.post("/events", content=event_json())
        response = await client.post("/events", content=event_json() + b"\nnonsense")
    assert response.status_code == 200
    assert (response.json()["accepted"], response.json()["duplicate"], response.json()["rejected"]) == (0, 1, 1)


async def test_an_event_of_the_models_past_is_a_duplicate(service: Service) -> None:
    past = make_event("u0", "i01", rating=4.5, event_id="known")
    items = [f"i{number:02d}" for number in range(9)]
    service.publish(make_model(user_ids=["u0"], item_ids=items, history=history_of([past], ["u0"], items)))
    again = event_json(event_id="known", item_id="i01", timestamp="2024-01-01T00:00:00Z")
    later = event_json(event_id="known", item_id="i01", timestamp="2024-01-01T00:00:01Z")
    other = event_json(event_id="other", item_id="i01", timestamp="2024-01-01T00:00:00Z")
    async with service.ready() as client:
        answer = (await client.post("/events", content=b"\n".join([again, later, other]))).json()
    assert (answer["accepted"], answer["duplicate"]) == (2, 1)
    assert [record.value for record in service.topic.records] == [later, other]


async def test_the_same_event_of_two_users_is_two_events(service: Service) -> None:
    events = [event_json(user_id=user, event_id="one-id") for user in ("u0", "u1")]
    async with service.running() as client:
        answer = (await client.post("/events", content=b"\n".join(events))).json()
    assert (answer["accepted"], answer["duplicate"]) == (2, 0)


async def test_what_was_stored_counts_although_the_rest_was_not(service: Service) -> None:
    service.publish(MODEL)
    async with service.ready() as client:
        service.topic.room = 1
        body = b"\n".join(event_json(user_id="new", item_id=item) for item in ("i05", "i06", "i07"))
        problem = problem_of(await client.post("/events", content=body), 503, "events_not_stored")
        assert (problem["stored"], problem["not_stored"]) == (1, 2)
        assert "1 of 3" in problem["detail"]
        assert (await recommend(client, "new"))["source"] == "folded_in"
        service.topic.room = None
        again = (await client.post("/events", content=body)).json()
        assert (again["accepted"], again["duplicate"]) == (2, 1)


@pytest.mark.parametrize("body", [b"", b"\r\n", b'[{"user_id": 1}', b"[1,]", b"[" * 100_000])
async def test_a_malformed_body_is_a_problem(service: Service, body: bytes) -> None:
    async with service.running() as client:
        problem_of(await client.post("/events", content=body), 400, "malformed_body")


async def test_bytes_that_are_not_utf8_are_refused_and_others_stored(service: Service) -> None:
    async with service.running() as client:
        response = await client.post("/events", content=b'{"user_id": "\xff"}\n' + event_json())
    assert response.status_code == 200
    assert [rejection["reason"] for rejection in response.json()["rejections"]] == ["malformed_json"]
    assert len(service.topic.records) == 1
