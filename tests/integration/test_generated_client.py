"""A client that a generator makes from nothing but the service's own description, against the real service."""

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_model
from tests.tools import program
from tests.unit.recommender_serving.server import listening, wait_until_ready
from tests.unit.recommender_serving.service import Service

PACKAGE = "generated_recommender_client"


class GeneratedClient:
    """The generated package."""

    def __init__(self, url: str) -> None:
        self.connection = import_module(f"{PACKAGE}.client").Client(base_url=url)
        self.models = import_module(f"{PACKAGE}.models")

    def call(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """The answer as the generated type; `operation` is `tag.name`."""
        function = import_module(f"{PACKAGE}.api.{operation}").sync
        return function(*arguments, client=self.connection, **named)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeneratedClient]:
    folder = tmp_path_factory.mktemp("client")
    service = Service(folder / "service")
    service.publish(make_model())
    generator = program("openapi-python-client", "the Python package openapi-python-client")
    with listening(service) as url, pytest.MonkeyPatch.context() as patched:
        wait_until_ready(url)
        command = [generator, "generate", "--url", f"{url}/schema/openapi.json", "--meta", "none", "--output-path"]
        environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        done = subprocess.run(
            [*command, str(folder / PACKAGE)], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        patched.syspath_prepend(folder)
        generated = GeneratedClient(url)
        with generated.connection:
            yield generated


def test_lists_have_their_types(client: GeneratedClient) -> None:
    found = client.call("recommendations.recommendations_for_user", "u1", num_recommendations=3)
    assert type(found).__name__ == "RecommendationList"
    assert len(found.recommendations) == 3
    assert found.source.value == "personalized"
    assert found.recommendations[0].score >= found.recommendations[1].score


def test_a_session_with_rules_is_asked_for_with_every_field(client: GeneratedClient) -> None:
    session = client.models.SessionItem(item_id="i01", rating=5.0)
    rules = client.models.RecommendationRequest(items=[session], num_recommendations=2, exclude_items=["i02"])
    found = client.call("recommendations.recommend", body=rules)
    assert type(found).__name__ == "RequestedList"
    assert len(found.recommendations) == 2
    assert not {"i01", "i02"} & {item.item_id for item in found.recommendations}


def test_an_event_is_sent_and_known_at_once(client: GeneratedClient) -> None:
    fields = {"user_id": "somebody", "item_id": "i03", "rating": 5.0, "timestamp": time.time()}
    counts = client.call("events.send_events", body=client.models.Event.from_dict(fields))
    assert (counts.accepted, counts.duplicate, counts.rejected) == (1, 0, 0)
    assert [past.item_id for past in client.call("users.user_history", "somebody").items] == ["i03"]
    assert client.call("users.describe_user", "somebody").user_id == "somebody"
    assert client.call("users.forget_user", "somebody").user_id == "somebody"


def test_what_there_is_to_read(client: GeneratedClient) -> None:
    assert client.call("model.serving_model").algorithm == "svd"
    assert len(client.call("items.popular_items", num_recommendations=4).items) == 4
    assert client.call("items.similar_items", "i01", num_items=2).items
    assert client.call("users.known_users").users
    assert client.call("operation.ready").status.value == "ready"


def test_an_error_is_a_problem_with_its_code(client: GeneratedClient) -> None:
    problem = client.call("items.similar_items", "nowhere")
    assert type(problem).__name__ == "ProblemDetails"
    assert problem.code.value == "unknown_item"
    assert problem.status == 404
