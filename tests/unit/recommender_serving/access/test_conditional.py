import pytest

from recommender_serving.access.conditional import entity_tag, is_known
from tests.factories import make_model
from tests.unit.recommender_serving.service import Client, Service, event_json, items_of, recommend

LIST = "/recommendations/user/u0"


async def tag_of(client: Client, path: str) -> str:
    response = await client.get(path)
    assert response.status_code == 200
    tag: str = response.headers["etag"]
    return tag


async def test_an_answer_that_the_client_has_is_not_sent_again(service: Service) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        for path in (LIST, "/items/popular", "/model", "/schema"):
            response = await client.get(path)
            again = await client.get(path, headers={"If-None-Match": response.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == response.headers["etag"]
            assert again.headers["cache-control"] == "private, no-cache"
            assert again.headers["x-request-id"]
            assert "content-type" not in again.headers


async def test_the_tag_changes_with_the_users_events_the_model_and_the_question_only(service: Service) -> None:
    service.publish(make_model())
    async with service.ready() as client:
        first = await tag_of(client, LIST)
        assert await tag_of(client, LIST) == first
        other_user = await tag_of(client, "/recommendations/user/u1")
        assert len({first, other_user, await tag_of(client, f"{LIST}?num_recommendations=3")}) == 3

        item = items_of(await recommend(client, "u0"))[0]
        assert (await client.post("/events", content=event_json(item_id=item))).status_code == 200
        changed = await client.get(LIST, headers={"If-None-Match": first})
        assert changed.status_code == 200
        assert changed.headers["etag"] != first
        assert await tag_of(client, "/recommendations/user/u1") == other_user


async def test_replicas_with_the_same_events_tag_alike(service: Service) -> None:
    service.publish(make_model())
    tags = []
    for _ in range(2):
        async with service.ready() as client:
            tags.append(await tag_of(client, LIST))
    assert tags[0] == tags[1]


async def test_errors_and_writing_calls_are_not_tagged(service: Service) -> None:
    async with service.running() as client:
        for response in (
            await client.get(LIST, headers={"If-None-Match": "*"}),
            await client.get("/nowhere"),
            await client.post("/events", content=event_json()),
        ):
            assert response.status_code != 304
            assert "etag" not in response.headers


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (b'W/"a"', True),
        (b'"a"', True),
        (b'"b", W/"a" ', True),
        (b"*", True),
        (b'"b"', False),
        (b"", False),
        (b"a", False),
        (b'W/"A"', False),
    ],
)
def test_tags_are_compared_weakly(header: bytes, *, known: bool) -> None:
    assert is_known(b'W/"a"', header) is known


def test_the_ranking_id_is_no_part_of_the_content() -> None:
    answers = [b'{"list":[%b],"ranking_id":"%b"}' % pair for pair in ((b"1", b"x"), (b"1", b"y"), (b"2", b"x"))]
    first, renamed, other = map(entity_tag, answers)
    assert first == renamed != other
