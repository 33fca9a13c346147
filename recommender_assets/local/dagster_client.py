"""The demo's view of Dagster: the GraphQL interface of its web server."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

POLL_SECONDS = 0.5

_LOCATION_LOADED = """
{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError {
    __typename ... on PythonError { message } } } } } }
"""
_UNREACHABLE = "DagsterUserCodeUnreachableError"  # the code server is still starting
_RELOAD = "mutation { reloadWorkspace { __typename } }"
_LAUNCH_BACKFILL = """
mutation Launch($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_PARTITIONS = """
query Partitions($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    partitionKeys partitionStats { numPartitions numMaterialized } } } }
"""
_RUNS = """
query Runs($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 20) { ... on Runs { results {
    runId status jobName stepStats { stepKey status startTime endTime } } } } }
"""
_UNFINISHED = {"QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING"}


class DagsterError(RuntimeError):
    """Dagster refused a request, or a run did not succeed."""


@dataclass(frozen=True)
class Step:
    """A finished step of a run: the asset (or check) it made, whether it succeeded, and how many seconds it took."""

    name: str
    succeeded: bool
    seconds: float


@dataclass(frozen=True)
class Run:
    """A run as Dagster knows it now."""

    run_id: str
    job: str
    status: str
    steps: tuple[Step, ...]

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to an end, good or bad."""
        return self.status not in _UNFINISHED


class DagsterClient:
    """GraphQL client of a Dagster web server at a base address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(base_url=address, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def is_loaded(self) -> bool:
        """Whether the web server answers and has loaded the code location.

        Raises:
            DagsterError: if the code location cannot be loaded; with the reason.
        """
        try:
            entries = self._ask(_LOCATION_LOADED)["workspaceOrError"]["locationEntries"]
        except httpx.HTTPError:
            return False
        for entry in entries:
            problem = (entry["locationOrLoadError"] or {}).get("message")
            if problem and _UNREACHABLE in problem:
                self._ask(_RELOAD)
                return False
            if problem:
                raise DagsterError(f"the code location does not load: {problem}")
        return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)

    def missing_partitions(self, asset: str) -> list[str]:
        """All partition keys of an asset, in order, unless every one of them is materialised already: then none."""
        node = self._ask(_PARTITIONS, key={"path": [asset]})["assetNodeOrError"]
        stats = node["partitionStats"]
        return [] if stats["numMaterialized"] == stats["numPartitions"] else list(node["partitionKeys"])

    def launch_backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Ask for one backfill of assets over partitions; unpartitioned assets are made once. Returns its id.

        Raises:
            DagsterError: if Dagster refuses it.
        """
        parameters = {
            "assetSelection": [{"path": [asset]} for asset in assets],
            "partitionNames": list(partitions),
            "title": f"{', '.join(assets)}: {partitions[0]} to {partitions[-1]}",
        }
        answer = self._ask(_LAUNCH_BACKFILL, params=parameters)["launchPartitionBackfill"]
        if "backfillId" not in answer:
            raise DagsterError(f"the backfill was refused: {answer}")
        backfill_id: str = answer["backfillId"]
        return backfill_id

    def runs_of_backfill(self, backfill_id: str) -> list[Run]:
        """The runs that a backfill has started so far."""
        return self._runs({"tags": [{"key": "dagster/backfill", "value": backfill_id}]})

    def runs_of_job(self, job: str, created_after: float) -> list[Run]:
        """Runs of a job that were created after a time (epoch seconds), newest first."""
        return self._runs({"pipelineName": job, "createdAfter": created_after})

    def _runs(self, condition: dict[str, Any]) -> list[Run]:
        results = self._ask(_RUNS, filter=condition)["runsOrError"]["results"]
        return [Run(run["runId"], run["jobName"], run["status"], tuple(_finished_steps(run))) for run in results]

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = self._http.post("/graphql", json={"query": query, "variables": variables})
        answer.raise_for_status()
        body = answer.json()
        if body.get("errors"):
            raise DagsterError(f"Dagster refused the query: {body['errors']}")
        data: dict[str, Any] = body["data"]
        return data


class RunWatch:
    """Follows runs and reports every step once.

    Args:
        find: asks for the runs.
        on_step: called once for each step that has finished.
        meanwhile: called between two questions; may raise to give up.
    """

    def __init__(
        self, find: Callable[[], list[Run]], on_step: Callable[[Step], None], meanwhile: Callable[[], None]
    ) -> None:
        self._find = find
        self._on_step = on_step
        self._meanwhile = meanwhile
        self._shown: set[tuple[str, str]] = set()

    def wait_for_success(self, expected: int, timeout_seconds: float) -> None:
        """Wait until there are as many runs as expected and all have succeeded.

        Raises:
            DagsterError: if a run fails or the time is over.
        """
        self.wait_until(lambda runs: len(runs) >= expected and all(run.is_finished for run in runs), timeout_seconds)

    def wait_until(self, is_enough: Callable[[list[Run]], bool], timeout_seconds: float) -> None:
        """Wait until the runs are as wanted.

        Raises:
            DagsterError: if a run fails or the time is over.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            runs = self._find()
            self._report(runs)
            failed = [run for run in runs if run.is_finished and run.status != "SUCCESS"]
            if failed:
                raise DagsterError(f"run {failed[0].run_id} of {failed[0].job} ended as {failed[0].status}")
            if is_enough(runs):
                return
            self._meanwhile()
            time.sleep(POLL_SECONDS)
        raise DagsterError(f"no end of the run within {timeout_seconds:.0f} s")

    def _report(self, runs: list[Run]) -> None:
        for run in runs:
            for step in run.steps:
                if (run.run_id, step.name) not in self._shown:
                    self._shown.add((run.run_id, step.name))
                    self._on_step(step)


def _finished_steps(run: dict[str, Any]) -> Iterator[Step]:
    for step in sorted(run["stepStats"], key=lambda step: step["endTime"] or 0):
        if step["endTime"] and step["status"] in ("SUCCESS", "FAILURE"):
            yield Step(step["stepKey"], step["status"] == "SUCCESS", step["endTime"] - step["startTime"])
