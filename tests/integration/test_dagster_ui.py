"""What people do in Dagster's UI, through its GraphQL interface and a browser: a real web server, daemon and runs."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recommender_assets.local.dagster_client import DagsterClient
from recommender_assets.local.processes import Processes
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import read_model
from tests.browser import running_browser
from tests.canned_server import CannedServer
from tests.dagster_processes import LOCATION, PROJECT, DagsterProcesses
from tests.histories import write_history
from tests.waiting import wait_until

INTERVAL_SECONDS = 2
QUICK = {
    "ops": {
        "svd_model": {"config": {"factors": 5, "epochs": 4, "ranking_iterations": 2}},
        "nmf_model": {"config": {"factors": 4, "iterations": 3, "ranking_iterations": 2}},
    }
}
TRAINING = ("user_item_matrix", "svd_model", "nmf_model", "evaluation_report", "champion")
GROUPS = ("interactions", "features", "models", "evaluation", "champion", "serving")

LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message } } }
"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status assetMaterializations {
    assetKey { path }
    metadataEntries { label ... on TextMetadataEntry { text } ... on UrlMetadataEntry { url } } } } } }
"""
SENSOR = """
query Sensor($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
    sensorState { status ticks(limit: 50) { id status skipReason timestamp endTimestamp } } } } }
"""
START = """
mutation Start($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename ... on PythonError { message } } }
"""
STOP = """
mutation Stop($id: String!) { stopSensor(id: $id) { __typename
    ... on PythonError { message } } }
"""
SENSOR_ID = (
    "query Id($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState { id } } } }"
)
REPOSITORY = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}


class Dagster:
    """The running web server, asked as its own pages ask it."""

    def __init__(self, address: str, root: Path, alarms: CannedServer) -> None:
        self.address = address
        self.root = root
        self.alarms = alarms
        self._http = httpx.Client(base_url=address, timeout=60)

    def close(self) -> None:
        self._http.close()

    def ask(self, query: str, **variables: Any) -> Any:
        answer = self._http.post("/graphql", json={"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        (data,) = answer["data"].values()
        return data

    def launch(self, job: str, config: dict[str, Any], *assets: str) -> Any:
        selector = {**REPOSITORY, "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": [asset]} for asset in assets]
        return self.ask(LAUNCH, params={"selector": selector, "runConfigData": config})

    def finished(self, launched: Any) -> Any:
        """The run when it is over."""
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        wait_until(lambda: self.ask(RUN, id=run_id)["status"] in {"SUCCESS", "FAILURE"}, 120, "the run is over")
        return self.ask(RUN, id=run_id)

    def sensor(self, name: str) -> Any:
        return self.ask(SENSOR, selector={**REPOSITORY, "sensorName": name})["sensorState"]

    def switch(self, name: str, status: str) -> None:
        """Until it is so: a tick that is being evaluated writes the sensor's former status back."""
        selector = {**REPOSITORY, "sensorName": name}

        def switched() -> bool:
            if status == "RUNNING":
                self.ask(START, s=selector)
            else:
                self.ask(STOP, id=self.ask(SENSOR_ID, s=selector)["sensorState"]["id"])
            time.sleep(0.5)
            state = self.sensor(name)
            in_flight = status == "STOPPED" and any(tick["status"] == "STARTED" for tick in state["ticks"])
            return bool(state["status"] == status) and not in_flight

        if self.sensor(name)["status"] != status:
            wait_until(switched, 60, f"{name} is {status}")


@pytest.fixture(scope="module")
def alarms() -> Iterator[CannedServer]:
    server = CannedServer()
    server.answers = [(200, "ok")]
    yield server
    server.close()


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory, alarms: CannedServer) -> Iterator[Dagster]:
    """Code location, web server and daemon with the project's own `dagster.yaml`, on tables of their own."""
    home = tmp_path_factory.mktemp("dagster")
    write_history(home / "data")
    environ = {
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "RECOMMENDER__STORAGE__ROOT": str(home / "data"),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "RECOMMENDER__DAGSTER__FAILURE_WEBHOOK": alarms.address,
        "RECOMMENDER__DAGSTER__SENSOR_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
    }
    with Processes(home / "process_logs") as processes:
        programs = DagsterProcesses(processes, home, environ)
        running = Dagster(programs.start_web_server(), home / "data", alarms)
        programs.start_daemon()

        with DagsterClient(running.address) as client:
            wait_until(lambda: processes.require_alive() or client.is_loaded(), 120, "Dagster's UI is there")
        yield running
        running.close()
    shutil.rmtree(home, ignore_errors=True)


def test_a_sensor_is_switched_off_and_on_again(dagster: Dagster) -> None:
    assert dagster.sensor("retraining_sensor")["status"] == "RUNNING", "by default"
    wait_until(lambda: dagster.sensor("retraining_sensor")["ticks"], 60, "the daemon asks the sensor")
    dagster.switch("retraining_sensor", "STOPPED")
    ticks = dagster.sensor("retraining_sensor")["ticks"]
    time.sleep(2 * INTERVAL_SECONDS)
    assert dagster.sensor("retraining_sensor")["ticks"] == ticks
    dagster.switch("retraining_sensor", "RUNNING")
    dagster.switch("retraining_sensor", "STOPPED")
    dagster.switch("kafka_offset_sensor", "STOPPED")


def test_assets_are_materialised_with_other_hyper_parameters(dagster: Dagster) -> None:
    training = dagster.launch("__ASSET_JOB", QUICK, *TRAINING)
    trained = dagster.finished(training)
    assert trained["status"] == "SUCCESS"
    told = {made["assetKey"]["path"][0]: made["metadataEntries"] for made in trained["assetMaterializations"]}
    assert set(told) == set(TRAINING)
    entries = {entry["label"]: entry for entry in told["svd_model"]}
    assert "/#/experiments/" in entries["mlflow_run"]["url"]
    assert entries["version"]["text"].startswith("svd-")
    pointer = read_pointer(dagster.root)
    assert pointer is not None
    model = read_model(version_directory(dagster.root, pointer.version))
    assert model.ranking.item_factors.shape[1] in {5, 4}


def test_a_mistake_is_refused_or_fails_and_reaches_the_alarm(dagster: Dagster) -> None:
    refused = dagster.launch("train_job", {"ops": {"svd_model": {"config": {"factor": 5}}}})
    assert refused["__typename"] == "RunConfigValidationInvalid"
    assert 'unexpected config entry "factor"' in refused["errors"][0]["message"]
    wait_until(
        lambda: dagster.sensor("failure_webhook_sensor")["ticks"],
        60,
        "the alarm's first look, before which none counts",
    )
    wrong = {"ops": {"svd_model": {"config": {"factors": -1}}}}
    launched = dagster.launch("__ASSET_JOB", wrong, "svd_model")
    assert dagster.finished(launched)["status"] == "FAILURE"

    def posted() -> list[str]:
        """Other runs may fail meanwhile, for a sensor has asked for them without enough data."""
        return [told["text"] for _, _, told in dagster.alarms.asked if told["run_id"] == launched["run"]["runId"]]

    wait_until(lambda: bool(posted()), 60, "the failed run is posted")
    assert "svd_model" in posted()[0]


def test_the_daemon_asks_every_sensor_and_none_fails(dagster: Dagster) -> None:
    for name in ("followers_sensor", "judgement_sensor", "failure_webhook_sensor"):
        wait_until(lambda name=name: dagster.sensor(name)["ticks"], 60, f"the daemon asks {name}")
        assert "FAILURE" not in {tick["status"] for tick in dagster.sensor(name)["ticks"]}, name


def test_a_sensor_that_waits_for_the_broker_holds_up_no_other(dagster: Dagster) -> None:
    def looked_meanwhile() -> bool:
        waits = [
            (tick["timestamp"], tick["endTimestamp"]) for tick in dagster.sensor("recommendation_log_sensor")["ticks"]
        ]
        looks = [tick["timestamp"] for tick in dagster.sensor("live_guardrail_sensor")["ticks"]]
        return any(begun < look < (ended or begun) for begun, ended in waits for look in looks)

    wait_until(looked_meanwhile, 60, "the guardrails are looked at while the broker is waited for")


def test_the_lineage_page_shows_the_groups(dagster: Dagster, tmp_path: Path) -> None:
    with running_browser(tmp_path) as browser:
        browser.show_as(width=2_400)
        browser.open(f"{dagster.address}/asset-groups")
        for group in GROUPS:
            browser.wait(f"document.body.innerText.includes({group!r})", 30)
        browser.open(f"{dagster.address}/locations/{LOCATION}/asset-groups/models/lineage")
        for asset in ("svd_model", "nmf_model"):
            browser.wait(f"document.body.innerText.includes({asset!r})", 30)
