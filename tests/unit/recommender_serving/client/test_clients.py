"""Both clients against the real service on a real port."""

import datetime as dt
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from inspect import signature

import msgspec
import pytest

from recommender_serving.access.keys import KeySettings
from recommender_serving.client.async_client import AsyncRecommenderClient
from recommender_serving.client.calls import Interaction
from recommender_serving.client.errors import ProblemError, UnexpectedAnswerError, UnreachableError
from recommender_serving.client.retries import Retries
from recommender_serving.client.sync_client import RecommenderClient
from recommender_serving.recommendation_request import RecommendationRequest, SessionItem
from recommender_serving.request_answers import Explanation
from recommender_serving.settings import AccessSettings
from tests.factories import make_model
from tests.unit.recommender_serving.server import listening
from tests.unit.recommender_serving.service import Service

MODEL = make_model(n_users=6, n_items=40)
QUICK = Retries(attempts=200, first_pause_seconds=0.01, longest_pause_seconds=0.05)
NEVER = Retries(attempts=1)


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """A service that is ready."""
    service.publish(MODEL)
    with listening(service) as address, RecommenderClient(address) as client:
        deadline = time.monotonic() + 10
        while True:
            try:
                client.readiness()
                break
            except ProblemError:
                assert time.monotonic() < deadline
        yield address


def test_the_plain_client_speaks_all_of_it(address: str) -> None:
    with RecommenderClient(address) as client:
        before = client.recommendations("a/b ü", 5)
        assert (before.user_id, before.source, len(before.recommendations)) == ("a/b ü", "popular", 5)
        first = before.recommendations[0]
        counts = client.send(
            [Interaction(user_id="a/b ü", item_id=first.item_id, rating=4.5, ranking_id=before.ranking_id)]
        )
        assert (counts.accepted, counts.rejected) == (1, 0)
        after = client.recommendations("a/b ü", 5)
        assert after.source == "folded_in"
        assert first.item_id not in [item.item_id for item in after.recommendations]
        seen = client.recommendations("a/b ü", 20, exclude_seen=False)
        assert len(seen.recommendations) == 20
        assert [(item.item_id, item.rating) for item in client.history("a/b ü").items] == [(first.item_id, 4.5)]
        assert len(client.popular_items(3).items) == 3
        assert client.popular_items(window="1_hour").items[0].item_id == first.item_id
        assert client.user("a/b ü").vector.live_events == 1
        assert client.known_users()
        similar = client.similar_items(first.item_id, 4)
        assert (similar.item_id, len(similar.items)) == (first.item_id, 4)
        asked = RecommendationRequest(user_id="a/b ü", num_recommendations=4, explain=True)
        requested = client.recommend(asked)
        assert [entry.item_id for entry in requested.recommendations] == [
            entry.item_id for entry in after.recommendations[:4]
        ]
        assert all(isinstance(entry.explanation, Explanation) for entry in requested.recommendations)
        session = client.recommend(RecommendationRequest(items=[SessionItem(item_id="i01", rating=5.0), "i02"]))
        assert (session.user_id, session.source) == (msgspec.UNSET, "folded_in")
        lists = client.recommend_to_users(["u1", "a/b ü"], RecommendationRequest(num_recommendations=4))
        assert [each.user_id for each in lists] == ["u1", "a/b ü"]
        assert lists[1].recommendations[0].item_id == after.recommendations[0].item_id
        assert client.forget("a/b ü").status == "accepted"
        assert client.recommendations("a/b ü").source == "popular"
        assert client.model().version == MODEL.version
        assert client.readiness().status == "ready"


async def test_the_client_for_asyncio_speaks_all_of_it(address: str) -> None:
    async with AsyncRecommenderClient(address) as client:
        before = await client.recommendations("u0", 5)
        item_id = before.recommendations[0].item_id
        counts = await client.send([Interaction(user_id="u0", item_id=item_id, event_type="view")])
        assert counts.accepted == 1
        after = await client.recommendations("u0", 5)
        assert item_id not in [item.item_id for item in after.recommendations]
        assert (await client.history("u0", 1)).items[0].item_id == item_id
        assert len((await client.popular_items(3)).items) == 3
        assert (await client.popular_items(window="24_hours")).window == "24_hours"
        assert (await client.user("u0", 1)).history[0].item_id == item_id
        assert "u0" in await client.known_users()
        assert len((await client.similar_items(item_id, 4)).items) == 4
        requested = await client.recommend(RecommendationRequest(user_id="u0", exclude_items=[item_id]))
        assert len(requested.recommendations) == 10
        assert [each.user_id for each in await client.recommend_to_users(["u1", "u2"])] == ["u1", "u2"]
        assert (await client.forget("u0")).user_id == "u0"
        assert (await client.history("u0")).items == []
        assert (await client.model()).algorithm == "svd"
        assert (await client.readiness()).status == "ready"


async def test_both_clients_offer_the_same_calls_and_one_for_every_route(service: Service) -> None:
    plain, asynchronous = (
        {name: function for name, function in vars(owner).items() if callable(function) and name[0] != "_"}
        for owner in (RecommenderClient, AsyncRecommenderClient)
    )
    asynchronous["close"] = asynchronous.pop("aclose")
    assert plain.keys() == asynchronous.keys()
    for name, function in plain.items():
        assert signature(function) == signature(asynchronous[name]), name
    async with service.running() as client:
        schema = (await client.get("/schema")).json()
    operations = {operation["operationId"] for methods in schema["paths"].values() for operation in methods.values()}
    not_for_applications = {"live", "metrics", "userChanges"}
    assert len(operations - not_for_applications) == len(plain.keys() - {"close", "recommend_to_users"})


def test_an_interaction_that_is_sent_twice_counts_once(address: str) -> None:
    interaction = Interaction(user_id="u0", item_id="i00", rating=3.0, timestamp=dt.datetime.now(dt.UTC))
    with RecommenderClient(address) as client:
        assert client.send([interaction]).accepted == 1
        assert client.send([interaction]).duplicate == 1
        assert client.send([]).accepted == 0


async def test_an_error_carries_code_detail_and_request_id(address: str) -> None:
    with RecommenderClient(address) as client:
        with pytest.raises(ProblemError, match="num_recommendations: Expected int <= 20") as problem:
            client.recommendations("u0", 21)
        assert (problem.value.status, problem.value.code) == (400, "invalid_request")
        assert problem.value.request_id
        with pytest.raises(ProblemError) as refused:
            client.send([Interaction(user_id="u0", item_id="i00", rating=9.0)])
        assert refused.value.code == "events_rejected"
        assert refused.value.document["rejections"][0]["reason"] == "rating_out_of_scale"
    async with AsyncRecommenderClient(address) as client_for_asyncio:
        with pytest.raises(ProblemError, match="user_id"):
            await client_for_asyncio.recommendations("a\0")


def test_a_key_is_sent_and_never_shown(service: Service) -> None:
    digest = sha256(b"rk_secret").hexdigest()
    service.access = AccessSettings(keys=[KeySettings(name="shop", sha256=digest, scopes=["read"])])
    service.publish(MODEL)
    with listening(service) as address:
        with RecommenderClient(address, retries=NEVER) as client, pytest.raises(ProblemError) as refused:
            client.model()
        assert refused.value.code == "unauthenticated"
        with RecommenderClient(address, api_key="rk_secret", retries=QUICK) as client:
            assert client.model().version == MODEL.version
            with pytest.raises(ProblemError) as forbidden:
                client.send([Interaction(user_id="u0", item_id="i00", rating=1.0)])
            assert forbidden.value.code == "forbidden"
            assert "rk_secret" not in f"{forbidden.value!r} {client!r}"


async def test_both_wait_for_a_service_that_is_not_ready_yet(service: Service) -> None:
    patient = Retries(attempts=1_000, first_pause_seconds=0.01, longest_pause_seconds=1.0)
    with listening(service) as address:
        with RecommenderClient(address, retries=NEVER) as client, pytest.raises(ProblemError) as refused:
            client.model()
        assert refused.value.code == "not_ready"
        threading.Timer(0.3, service.publish, [MODEL]).start()
        async with AsyncRecommenderClient(address, retries=patient) as client_for_asyncio:
            assert (await client_for_asyncio.model()).version == MODEL.version
        with RecommenderClient(address, retries=patient) as client:
            assert client.model().version == MODEL.version


async def test_nobody_there_is_an_error_of_its_own_after_all_tries() -> None:
    retries = Retries(attempts=3, first_pause_seconds=0.001)
    gone = pytest.raises(UnreachableError, match=r"GET /model: .* after 3 tries")
    with RecommenderClient("http://127.0.0.1:9", retries=retries) as client, gone:
        client.model()
    async with AsyncRecommenderClient("http://127.0.0.1:9", retries=retries) as client_for_asyncio:
        with pytest.raises(UnreachableError, match="after 3 tries"):
            await client_for_asyncio.model()


class Silent(BaseHTTPRequestHandler):
    """Answers with what is no answer of this service, or too late."""

    def do_GET(self) -> None:
        if self.path == "/model":
            time.sleep(0.5)
        self.send_response(200 if "health" in self.path else 418)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of a server that is no recommender."""
    with HTTPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_answers_of_strangers_and_late_ones_are_told_apart(stranger: str) -> None:
    with RecommenderClient(stranger, timeout_seconds=0.1, retries=NEVER) as client:
        with pytest.raises(UnexpectedAnswerError, match="GET /health/ready"):
            client.readiness()
        with pytest.raises(ProblemError, match="418 I'm a Teapot") as problem:
            client.popular_items()
        assert problem.value.code == ""
        with pytest.raises(UnreachableError, match="ReadTimeout"):
            client.model()
