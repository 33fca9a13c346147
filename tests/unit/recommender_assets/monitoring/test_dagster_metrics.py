from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from graphql import parse, validate

from recommender_assets.monitoring.dagster_metrics import (
    CHECK_PASSED,
    DEFINITIONS_QUERY,
    LAST_RUN_DURATION,
    LAST_RUN_END,
    RUNS,
    SENSOR_RUNNING,
    UNFINISHED_RUNS,
    DagsterAnswerError,
    DagsterMetrics,
    runs_query,
)
from recommender_assets.settings import MonitoringSettings, Settings
from tests.canned_server import CannedServer


@pytest.fixture
def server() -> Iterator[CannedServer]:
    server = CannedServer()
    yield server
    server.close()


@pytest.fixture
def metrics(project_settings: Settings, server: CannedServer) -> DagsterMetrics:
    monitoring = MonitoringSettings(dagster_address=server.address)
    return DagsterMetrics(msgspec.structs.replace(project_settings, monitoring=monitoring))


def check(name: str, status: str | None) -> dict[str, Any]:
    return {"name": name, "blocking": name == "bad", "executionForLatestMaterialization": status and {"status": status}}


def definitions(checks: list[dict[str, Any]], *jobs: str, sensors: dict[str, str] | None = None) -> tuple[int, Any]:
    node = {
        "jobs": [{"name": name} for name in jobs],
        "sensors": [{"name": name, "sensorState": {"status": s}} for name, s in (sensors or {}).items()],
        "assetNodes": [
            {"assetKey": {"path": ["interactions"]}, "assetChecksOrError": {"checks": checks}},
            {"assetKey": {"path": ["items"]}, "assetChecksOrError": {}},
        ],
    }
    return 200, {"data": {"repositoriesOrError": {"nodes": [node]}}}


def counts(number: int, success: int, failure: int, unfinished: int, latest: dict[str, float] | None) -> dict[str, Any]:
    return {
        f"SUCCESS_{number}": {"count": success},
        f"FAILURE_{number}": {"count": failure},
        f"CANCELED_{number}": {"count": 0},
        f"UNFINISHED_{number}": {"count": unfinished},
        f"LATEST_{number}": {"results": [latest] if latest else []},
    }


def test_the_queries_are_valid_for_the_installed_dagster() -> None:
    from dagster_graphql.schema import create_schema

    schema = create_schema().graphql_schema
    for query in (DEFINITIONS_QUERY, runs_query(["__ASSET_JOB", 'a "quoted" job'])):
        assert validate(schema, parse(query)) == []


def test_runs_are_counted_by_job_and_status(metrics: DagsterMetrics, server: CannedServer) -> None:
    runs = counts(0, 3, 1, 2, {"startTime": 100.0, "endTime": 130.5}) | counts(1, 0, 0, 0, None)
    server.answers = [definitions([], "a_job", "b_job"), (200, {"data": runs})]
    readings = metrics.read()
    assert readings[RUNS][("a_job", "success")] == 3
    assert readings[RUNS][("a_job", "failure")] == 1
    assert readings[RUNS][("b_job", "success")] == 0
    assert readings[UNFINISHED_RUNS] == {("a_job",): 2, ("b_job",): 0}
    assert readings[LAST_RUN_END] == {("a_job",): 130.5}
    assert readings[LAST_RUN_DURATION] == {("a_job",): 30.5}


def test_a_check_is_1_or_0_and_absent_while_it_has_not_run(metrics: DagsterMetrics, server: CannedServer) -> None:
    statuses = {"good": "SUCCEEDED", "bad": "FAILED", "broken": "EXECUTION_FAILED", "running": "IN_PROGRESS"}
    checks = [check(name, status) for name, status in statuses.items()] + [check("never", None)]
    server.answers = [definitions(checks, sensors={"on": "RUNNING", "off": "STOPPED"})]
    readings = metrics.read()
    assert readings[CHECK_PASSED] == {
        ("interactions", "good", "false"): 1,
        ("interactions", "bad", "true"): 0,
        ("interactions", "broken", "false"): 0,
    }
    assert readings[SENSOR_RUNNING] == {("on",): 1, ("off",): 0}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {"errors": [{"message": "unknown field"}]}), "refused the query: .*unknown field"),
        ((200, {"data": {"repositoriesOrError": {"message": "ImportError"}}}), "no definitions: ImportError"),
    ],
)
def test_a_refusal_is_an_error_with_the_reason(
    metrics: DagsterMetrics, server: CannedServer, answer: tuple[int, Any], message: str
) -> None:
    server.answers = [answer]
    with pytest.raises(DagsterAnswerError, match=message):
        metrics.read()


def test_a_web_server_that_is_away_or_ill_is_an_error(project_settings: Settings, server: CannedServer) -> None:
    away = MonitoringSettings(dagster_address="http://127.0.0.1:9")
    with pytest.raises(httpx.ConnectError):
        DagsterMetrics(msgspec.structs.replace(project_settings, monitoring=away)).read()
    server.answers = [(502, "starting")]
    ill = MonitoringSettings(dagster_address=server.address)
    with pytest.raises(httpx.HTTPStatusError):
        DagsterMetrics(msgspec.structs.replace(project_settings, monitoring=ill)).read()
