"""Requests made from the service's own description, right and wrong ones, against the real service on a real port."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.factories import make_model
from tests.unit.recommender_serving.server import listening, wait_until_ready
from tests.unit.recommender_serving.service import Service

EXAMPLES = 60  # of each operation and kind
ENDLESS = {"userChanges"}
# A body of events is judged event by event, by the time of its arrival; a question by rules between its members.
JUDGED_FURTHER = {"sendEvents", "recommend", "recommendationsForUser"}
JUDGES_OF_BODIES = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = Service(Path(tmp_path_factory.mktemp("fuzz")))
    service.publish(make_model())
    with listening(service) as url:
        wait_until_ready(url)
        yield url


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::hypothesis.errors.NonInteractiveExampleWarning")
@pytest.mark.parametrize("kind", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_the_service_fail_and_every_answer_is_as_described(url: str, kind: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/schema/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    with requests.Session() as session:
        calls = [
            number_of_calls(operation, kind, session)
            for operation in operations
            if operation.definition.raw["operationId"] not in ENDLESS
            and (kind is GenerationMode.POSITIVE or _takes_anything(operation))
        ]
    assert len(calls) >= (8 if kind is GenerationMode.POSITIVE else 4)
    assert all(calls)


def number_of_calls(operation: Any, kind: GenerationMode, session: requests.Session) -> int:
    """Call one operation many times, judging every answer by the description."""
    calls = 0
    excluded = JUDGES_OF_BODIES if operation.definition.raw["operationId"] in JUDGED_FURTHER else []

    @hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=operation.as_strategy(generation_mode=kind))
    def call(case: Any) -> None:
        nonlocal calls
        response = case.call(session=session, timeout=10)
        case.validate_response(response, excluded_checks=excluded)
        assert response.headers["x-request-id"]
        calls += 1

    call()
    return calls


def _takes_anything(operation: Any) -> bool:
    return bool(operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody"))
