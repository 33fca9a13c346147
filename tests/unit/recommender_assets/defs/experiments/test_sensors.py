from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recommender_assets.defs.experiments import sensors
from recommender_assets.defs.experiments.sensors import recommendation_log_sensor
from recommender_assets.ingestion.served_lists import Ranges, _commit
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, TopicMissingError, Watermarks
from recommender_assets.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"settings": settings}) as context:
        return recommendation_log_sensor(context)


def test_unread_lists_start_a_run_at_most_once_in_the_interval(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("recommender_assets.defs.experiments.sensors.time.time", lambda: now[0])
    monkeypatch.setattr(sensors, "topic_state", lambda *_: ("t", {0: Watermarks(0, 7)}))
    first = tick(settings, instance)
    (request,) = first.run_requests
    assert request.tags == {"recommender/reason": "7 unread records"}
    _commit(settings.root, "t", [], Ranges({0: 0}, {0: 5}, {}))
    now[0] += 59
    assert "next request in 1 s" in str(tick(settings, instance, first.cursor).skip_reason)
    now[0] += 1
    assert tick(settings, instance, first.cursor).run_requests[0].tags == {"recommender/reason": "2 unread records"}
    _commit(settings.root, "t", [], Ranges({0: 5}, {0: 7}, {}))
    assert "no served list is unread" in str(tick(settings, instance).skip_reason)


@pytest.mark.parametrize("error", [TopicMissingError("no topic"), BrokerUnreachableError("no broker")])
def test_without_topic_or_broker_it_waits(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(sensors, "topic_state", fails)
    assert tick(settings, instance).skip_message == str(error)


def test_one_run_at_a_time(settings: Settings, instance: dg.DagsterInstance) -> None:
    instance.add_run(
        dg.DagsterRun(
            job_name="recommendation_log_job",
            run_id="12345678-1234-5678-1234-567812345678",
            status=dg.DagsterRunStatus.STARTED,
            tags={"recommender/ingests-log": "true"},
        )
    )
    assert tick(settings, instance).skip_message == "run 12345678-1234-5678-1234-567812345678 reads the served lists"
