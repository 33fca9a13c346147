"""The sensor on the real service: what it asks for is run, and the service follows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import msgspec
import pytest

from recommender_assets.defs.champion.rollback import rollback_job
from recommender_assets.defs.champion.sensors import live_guardrail_sensor
from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.promotion.decisions import append_decision, read_decisions, row_without_contest
from recommender_assets.settings import LiveGuardrailSettings, Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model
from tests.unit.recommender_assets.experiments.logged_tables import write_traffic
from tests.unit.recommender_serving.server import listening, wait_until_ready
from tests.unit.recommender_serving.service import Service

RULES = LiveGuardrailSettings(popular_share=0.5, p99_milliseconds=1e6, minimum_requests=10, grace_minutes=0)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Champion svd-2 after svd-1."""
    service = Service(tmp_path)
    write_model(version_directory(tmp_path, "svd-1"), make_model(version="svd-1", seed=1))
    service.publish(make_model(version="svd-2", seed=2), predecessor="svd-1")
    return service


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    with listening(service) as url:
        wait_until_ready(url)
        yield url


def settings_of(root: Path, *services: str, **rules: Any) -> Settings:
    settings = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(root)})
    live = msgspec.structs.replace(RULES, services=services, **rules)
    promotion = msgspec.structs.replace(settings.promotion, live_guardrails=live)
    return msgspec.structs.replace(settings, promotion=promotion)


def tick(settings: Settings, cursor: str | None = None) -> Any:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor, resources={"settings": settings}) as context,
    ):
        return live_guardrail_sensor.evaluate_tick(context)


def ask(url: str, user: str, times: int = 10) -> None:
    for _ in range(times):
        assert httpx.get(f"{url}/recommendations/user/{user}").status_code == 200


@pytest.fixture
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender_assets.promotion.rollback._register", lambda *_: None)


def test_a_broken_guardrail_brings_the_champion_before_back_and_only_once(
    service: Service, url: str, without_mlflow: None
) -> None:
    settings = settings_of(service.root, url)
    first = tick(settings)
    assert first.skip_message == "0 of 10 requests to judge by"
    ask(url, "nobody")
    broken = tick(settings, first.cursor)
    (request,) = broken.run_requests
    assert request.tags["recommender/reason"] == (
        "share of popular lists is 100.0%, at most 50.0% is allowed over 10 requests"
    )
    assert request.run_key == "rollback of svd-2 2024-01-02T00:00:00Z"

    ask(url, "nobody")
    again = tick(settings, broken.cursor)
    assert not again.run_requests
    assert "the rollback of svd-2 was asked for already" in again.skip_message

    result = rollback_job.execute_in_process(run_config=request.run_config, resources={"settings": settings})
    assert result.success
    (row,) = read_decisions(service.root)
    assert (row.kind, row.champion, row.predecessor) == ("live_rollback", "svd-1", "svd-2")
    assert row.reason == request.tags["recommender/reason"]
    while httpx.get(f"{url}/recommendations/user/nobody").json()["model"]["version"] != "svd-1":
        pass

    back = tick(settings, again.cursor)
    ask(url, "nobody")
    still_broken = tick(settings, back.cursor)
    assert not still_broken.run_requests
    assert "svd-1 came by a rollback itself, so a person has to look" in still_broken.skip_message


def test_personal_answers_break_nothing(service: Service, url: str) -> None:
    settings = settings_of(service.root, url)
    cursor = tick(settings).cursor
    ask(url, "u0")
    held = tick(settings, cursor)
    assert not held.run_requests
    assert held.skip_message == "every guardrail holds over 10 requests"


def test_in_grace_after_a_promotion_nothing_is_counted(service: Service, url: str) -> None:
    settings = settings_of(service.root, url, grace_minutes=1e9)
    cursor = tick(settings).cursor
    ask(url, "nobody")
    assert tick(settings, cursor).skip_message == "0 of 10 requests to judge by"


def test_a_service_that_is_down_is_one_reason_to_skip_and_no_rollback(service: Service) -> None:
    result = tick(settings_of(service.root, "http://127.0.0.1:9"))
    assert not result.run_requests
    assert result.skip_message.startswith("the service at http://127.0.0.1:9 gives no metrics")
    assert tick(settings_of(service.root, "http://127.0.0.1:9"), result.cursor).skip_message == result.skip_message


def test_one_replica_that_is_down_does_not_hide_the_other(service: Service, url: str) -> None:
    settings = settings_of(service.root, "http://127.0.0.1:9", url)
    first = tick(settings)
    assert "0 of 10 requests to judge by; the service at http://127.0.0.1:9" in first.skip_message
    ask(url, "nobody")
    assert len(tick(settings, first.cursor).run_requests) == 1


def test_without_a_champion_there_is_nothing_to_guard(tmp_path: Path) -> None:
    assert tick(settings_of(tmp_path, "http://127.0.0.1:9")).skip_message == "there is no champion yet"


def test_a_rollback_of_long_ago_does_not_protect_a_later_champion(service: Service, url: str) -> None:
    pointer = read_pointer(service.root)
    assert pointer is not None
    older = msgspec.structs.replace(pointer, version="svd-0")
    append_decision(service.root, row_without_contest("rollback", older, "svd-x", ""))
    settings = settings_of(service.root, url)
    cursor = tick(settings).cursor
    ask(url, "nobody")
    assert len(tick(settings, cursor).run_requests) == 1


def test_a_champion_that_users_do_not_click_is_rolled_back_though_the_service_is_silent(service: Service) -> None:
    promoted = 1_704_153_600_000_000
    for version, rate, start in (("svd-1", 0.4, promoted - DAY_US), ("svd-2", 0.02, promoted)):
        write_traffic(service.root, {None: rate}, start, experiment=None, version=version, algorithm="svd")
    settings = settings_of(service.root, "http://127.0.0.1:9", click_through_users=300)
    found = tick(settings)
    (request,) = found.run_requests
    assert request.tags["recommender/reason"].startswith("click-through is ")
    assert request.tags["recommender/reason"].endswith(" of svd-1")
    assert not tick(settings, found.cursor).run_requests, "five minutes until the next look"
    allowed = settings_of(service.root, "http://127.0.0.1:9", click_through_users=300, click_through_fall=1.0)
    assert not tick(allowed).run_requests
