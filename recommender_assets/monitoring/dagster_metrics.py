"""Metrics of Dagster's runs, checks and sensors, from the GraphQL interface of its web server."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from recommender_assets.monitoring.metric import MetricDefinition, Samples
from recommender_assets.settings import Settings

RUNS = MetricDefinition(
    "recommender_dagster_runs_total", "counter", "Finished runs by job and status.", ("job", "status")
)
UNFINISHED_RUNS = MetricDefinition(
    "recommender_dagster_unfinished_runs", "gauge", "Runs that are queued, starting or running, by job.", ("job",)
)
LAST_RUN_END = MetricDefinition(
    "recommender_dagster_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which the job's latest successful run ended.",
    ("job",),
)
LAST_RUN_DURATION = MetricDefinition(
    "recommender_dagster_last_success_duration_seconds",
    "gauge",
    "Time from start to end of the job's latest successful run.",
    ("job",),
)
CHECK_PASSED = MetricDefinition(
    "recommender_dagster_check_passed",
    "gauge",
    "1 if the check passed for the asset's latest materialisation, 0 if it failed; absent before it has run."
    " What lies after the asset goes on without a check that is not blocking.",
    ("asset", "check", "blocking"),
)
SENSOR_RUNNING = MetricDefinition(
    "recommender_dagster_sensor_running", "gauge", "1 while the sensor is switched on.", ("sensor",)
)
DAGSTER_METRICS = (RUNS, UNFINISHED_RUNS, LAST_RUN_END, LAST_RUN_DURATION, CHECK_PASSED, SENSOR_RUNNING)

DEFINITIONS_QUERY = """
{ repositoriesOrError {
    ... on RepositoryConnection { nodes {
      jobs { name }
      sensors { name sensorState { status } }
      assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
        name blocking executionForLatestMaterialization { status } } } } } } }
    ... on PythonError { message } } }
"""
_FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
_UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
_PASSED = {"SUCCEEDED": 1.0, "FAILED": 0.0, "EXECUTION_FAILED": 0.0}
_TIMEOUT_S = 5.0


class DagsterAnswerError(RuntimeError):
    """Dagster's web server refused a query."""


class DagsterMetrics:
    """Asks for what is defined, then for the runs of every job: two questions a reading."""

    def __init__(self, settings: Settings) -> None:
        self._http = httpx.Client(base_url=settings.dagster_address, timeout=_TIMEOUT_S)

    def read(self) -> Mapping[MetricDefinition, Samples]:
        """The metrics now.

        Raises:
            httpx.HTTPError: the web server does not answer.
            DagsterAnswerError: it refused the question.
        """
        found = self._ask(DEFINITIONS_QUERY)["repositoriesOrError"]
        if "nodes" not in found:
            raise DagsterAnswerError(f"Dagster has no definitions: {found.get('message')}")
        jobs = sorted({job["name"] for node in found["nodes"] for job in node["jobs"]})
        runs = _run_metrics(jobs, self._ask(runs_query(jobs))) if jobs else {}
        return {**runs, **_definition_metrics(found["nodes"])}

    def _ask(self, query: str) -> dict[str, Any]:
        answer = self._http.post("/graphql", json={"query": query})
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            raise DagsterAnswerError(f"Dagster refused the query: {body['errors']}")
        data: dict[str, Any] = body["data"]
        return data


def runs_query(jobs: Sequence[str]) -> str:
    """One GraphQL query: for each job the number of runs by status, and its latest successful run."""
    return "{ " + "\n".join(_job_fields(number, job) for number, job in enumerate(jobs)) + " }"


def _job_fields(number: int, job: str) -> str:
    counted = {**{status: (status,) for status in _FINISHED}, "UNFINISHED": _UNFINISHED}
    counts = [
        f"{name}_{number}: {_runs_of(job, statuses)} {{ ... on Runs {{ count }} }}"
        for name, statuses in counted.items()
    ]
    latest = _runs_of(job, ("SUCCESS",), ", limit: 1")
    return "\n".join([*counts, f"LATEST_{number}: {latest} {{ ... on Runs {{ results {{ startTime endTime }} }} }}"])


def _runs_of(job: str, statuses: Sequence[str], limit: str = "") -> str:
    condition = f"{{pipelineName: {json.dumps(job)}, statuses: [{', '.join(statuses)}]}}"
    return f"runsOrError(filter: {condition}{limit})"


def _run_metrics(jobs: Sequence[str], answer: Mapping[str, Any]) -> dict[MetricDefinition, Samples]:
    latest = {
        job: run for number, job in enumerate(jobs) for run in answer[f"LATEST_{number}"]["results"] if run["endTime"]
    }
    return {
        RUNS: {
            (job, status.lower()): answer[f"{status}_{number}"]["count"]
            for number, job in enumerate(jobs)
            for status in _FINISHED
        },
        UNFINISHED_RUNS: {(job,): answer[f"UNFINISHED_{number}"]["count"] for number, job in enumerate(jobs)},
        LAST_RUN_END: {(job,): run["endTime"] for job, run in latest.items()},
        LAST_RUN_DURATION: {(job,): run["endTime"] - run["startTime"] for job, run in latest.items()},
    }


def _definition_metrics(nodes: Sequence[Mapping[str, Any]]) -> dict[MetricDefinition, Samples]:
    passed: Samples = {
        _check_labels(asset, check): _PASSED[check["executionForLatestMaterialization"]["status"]]
        for node in nodes
        for asset in node["assetNodes"]
        for check in asset["assetChecksOrError"].get("checks", [])
        if (check["executionForLatestMaterialization"] or {}).get("status") in _PASSED
    }
    running: Samples = {
        (sensor["name"],): float(sensor["sensorState"]["status"] == "RUNNING")
        for node in nodes
        for sensor in node["sensors"]
    }
    return {CHECK_PASSED: passed, SENSOR_RUNNING: running}


def _check_labels(asset: Mapping[str, Any], check: Mapping[str, Any]) -> tuple[str, ...]:
    return "/".join(asset["assetKey"]["path"]), check["name"], str(check["blocking"]).lower()
