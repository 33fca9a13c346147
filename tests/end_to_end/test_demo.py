"""What `make demo` promises: it works on a clean folder, continues from what is there, and leaves no process behind.

And what `make monitor` beside it promises: every panel of every dashboard has data.
"""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psutil
import pytest

from recommender_assets.local.broker import free_port
from recommender_assets.monitoring.dashboards import DASHBOARDS
from recommender_assets.monitoring.panel import Panel
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import RunningExperiment, start_experiment
from tests.prometheus_server import PrometheusServer
from tests.tools import program
from tests.waiting import wait_until

PROJECT = Path(__file__).parents[2]
BORROWED = ("config.yaml", "dagster.yaml", "workspace.yaml", "pyproject.toml", "requirements", ".local/jars", "deploy")
RECOMMENDER = Path(sys.executable).with_name("recommender")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder without any data."""
    return project_folder(tmp_path_factory.mktemp("demo"))


def project_folder(folder: Path) -> Path:
    """Make an empty folder one in which commands of the project run."""
    (folder / ".local").mkdir()
    for name in BORROWED:
        (folder / name).symlink_to(PROJECT / name)
    return folder


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    keys = ["API__PORT", "DAGSTER__PORT", "MLFLOW__PORT"]
    keys += [f"MONITORING__{key}PORT" for key in ("", "STREAM_", "PROMETHEUS_", "GRAFANA_")]
    ports = {f"RECOMMENDER__{key}": str(free_port(0)) for key in keys}
    kafka = {"RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port(0)}"}
    return {**os.environ, **ports, **kafka}


class Command:
    """A `recommender` command in the background; its output goes to a file."""

    def __init__(self, folder: Path, environ: dict[str, str], *arguments: str) -> None:
        self._path = folder / f"{arguments[0]}.txt"
        with self._path.open("wb") as file:
            self._process = subprocess.Popen(
                [RECOMMENDER, *arguments], cwd=folder, env=environ, stdout=file, stderr=file
            )

    @property
    def output(self) -> str:
        return self._path.read_text(encoding="utf-8")

    def wait_for(self, text: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.2)

    def stop(self) -> str:
        """End it as Ctrl-C does; returns everything that it said."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(60)
        return self.output


@pytest.fixture(scope="module")
def first_run(folder: Path, environ: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Output and report of a demo on a folder without data."""
    answer = subprocess.run(
        [RECOMMENDER, "demo", "--once"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout, json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def second_run(first_run: object, folder: Path, environ: dict[str, str]) -> Iterator[Command]:
    """A demo that continues the first one and stays."""
    demo = Command(folder, environ, "demo")
    try:
        demo.wait_for("      try ", 200)
        yield demo
    finally:
        demo.stop()


def processes_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_demo_takes_real_ratings_to_live_recommendations(
    first_run: tuple[str, dict[str, Any]], folder: Path
) -> None:
    output, report = first_run
    assert report["demo"] == "ok"
    assert report["interactions"] == 12_835
    assert report["rejected"] == 0
    assert report["champion"] in report["rmse"]
    assert set(report["rmse"]) == {"svd", "nmf"}
    assert 0 < report["event_to_list_ms"] <= 1000
    assert 0 < report["new_user_ms"] <= 1000
    for asset in ("interaction_history", "items", "interactions", "user_item_matrix", "champion", "profiles"):
        assert f"      {asset} " in output
    assert processes_in(folder) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Dagster's storage
def test_twenty_years_of_history_are_one_run_of_a_backfill(
    first_run: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # from where the paths in dagster.yaml count
    history = dg.AssetKey("interaction_history")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        (run,) = [run for run in instance.get_runs() if history in (run.asset_selection or ())]
        assert "dagster/backfill" in run.tags
        months = [run.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")]
        assert months == ["1995-01", "2014-12"]
        assert len(instance.get_materialized_partitions(history)) == 240


def test_every_panel_shows_data_while_the_demo_runs(second_run: Command, folder: Path, environ: dict[str, str]) -> None:
    program("prometheus", "the package prometheus (apt-get install prometheus)")
    service = httpx.Client(base_url=f"http://127.0.0.1:{environ['RECOMMENDER__API__PORT']}", timeout=10)
    prometheus = httpx.Client(
        base_url=f"http://127.0.0.1:{environ['RECOMMENDER__MONITORING__PROMETHEUS_PORT']}", timeout=10
    )
    start_an_experiment(folder / ".local" / "data")
    monitor = Command(folder, environ, "monitor")
    with service, prometheus:
        try:
            monitor.wait_for("Grafana ", 90)
            server = PrometheusServer(prometheus)
            panels = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]

            def use_and_look() -> bool:
                use(service)
                return not any(empty_queries(server, panel) for panel in panels)

            wait_until(use_and_look, 60, lambda: [empty_queries(server, panel) for panel in panels])
            assert not {"SourceDown", "ServiceNotReady", "CheckFailed"} & server.firing().keys()
        finally:
            monitor.stop()


def test_a_second_run_continues_what_is_there_and_leaves_no_process_behind(
    first_run: tuple[str, dict[str, Any]], second_run: Command, folder: Path
) -> None:
    again = second_run.stop()
    assert "make monitor\n" in again
    assert "every month is there already" in again
    assert "the topic holds them already" in again
    report, continued = first_run[1], json.loads(again.splitlines()[-1])
    assert continued["demo"] == "ok"
    assert continued["champion"] == report["champion"]
    assert continued["interactions"] >= report["interactions"]
    assert continued["first_recommendation_s"] < report["first_recommendation_s"]
    assert processes_in(folder) == []


def start_an_experiment(root: Path) -> None:
    variants = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}
    definition = ExperimentDefinition(name="heads", variants=variants)
    start_experiment(
        root,
        RunningExperiment(
            definition=definition, started_us=time.time_ns() // 1_000, users_per_arm=100, variances=(0.1, 0.1)
        ),
    )


def use(service: httpx.Client) -> None:
    """Lists for known users and for a new one, an event, and a list after it."""
    event = {"user_id": "panel-user", "item_id": "1", "event_type": "view", "timestamp": time.time()}
    assert service.post("/events", json=event).is_success
    for user in ("1", "2", "3", "190", "panel-user"):
        assert service.get(f"/recommendations/user/{user}").is_success
    assert service.post("/recommendations", json={"items": ["1", "2"]}).is_success


def empty_queries(server: PrometheusServer, panel: Panel) -> list[str]:
    """Queries of a panel without a number, unless something has to happen first that has not happened here."""
    found = {expr: [float(series["value"][1]) for series in server.query(expr)] for expr in panel.queries.values()}
    return [] if panel.needs else [expr for expr, values in found.items() if all(map(math.isnan, values))]


def test_a_taken_port_is_named_with_its_setting_and_nothing_is_started(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = project_folder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = subprocess.run(
            [RECOMMENDER, "demo", "--once"],
            cwd=folder,
            env={**environ, "RECOMMENDER__API__PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert answer.returncode == 1
    assert f"port {port} is taken by something else: set api.port" in answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["demo"] == "failed"
    assert processes_in(folder) == []
