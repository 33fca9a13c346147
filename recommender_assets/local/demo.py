"""`recommender demo`: real ratings through the whole system to live recommendations, on this machine alone."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from recommender_assets.ingestion.history import months_of_source
from recommender_assets.ingestion.month_range import write_history_range
from recommender_assets.ingestion.spark_session import spark_session
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.local import showcase
from recommender_assets.local.broker import LocalBroker, free_port
from recommender_assets.local.dagster_client import DagsterClient, Run, RunWatch, Step
from recommender_assets.local.dagster_instance import create_instance
from recommender_assets.local.demo_facts import champion_facts, ingestion_facts, known_user
from recommender_assets.local.doctor import port_is_taken
from recommender_assets.local.processes import Processes, exit_on_termination
from recommender_assets.local.replay import ratings_to_replay, replay_ratings
from recommender_assets.local.service_client import ServiceClient
from recommender_assets.local.topic import create_log_topic, create_topic, record_count
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer
from recommender_serving.engine.config import ApiSettings, read_config, section

LOCAL = Path(".local")
HISTORY = "interaction_history"
CATALOGUE = "items"
FIRST_JOB = "recommendation_job"
RUN_TIMEOUT_SECONDS = 600.0
START_TIMEOUT_SECONDS = 120.0


class DemoError(RuntimeError):
    """A step of the demo did not work; the message says what to do."""


def run_demo(*, once: bool) -> int:
    """Run the demo; its last line of output is one JSON object with what was measured.

    Args:
        once: stop after the live recommendations instead of waiting for Ctrl-C.

    Returns:
        Exit status: 0 only if every step worked.
    """
    exit_on_termination()
    report: dict[str, Any] = {"demo": "failed"}
    try:
        with ExitStack() as stack:
            demo = Demo(stack)
            report |= demo.run()
            report["demo"] = "ok"
            if not once:
                demo.stay()
    except (KeyboardInterrupt, SystemExit):
        if report["demo"] != "ok":
            report["demo"] = "interrupted"
    except Exception as error:  # noqa: BLE001 - whatever happened, the last line is the report
        report["demo"], report["error"] = "failed", f"{type(error).__name__}: {error}"
        click.echo(f"\nThe demo failed: {error}\nLogs are below {LOCAL}/logs and {LOCAL}/kafka.", err=True)
    click.echo(json.dumps(report))
    return 0 if report["demo"] == "ok" else 1


class Demo:
    """The running system of one demo; every process it starts ends with the stack.

    Raises:
        DemoError: a port that is needed is taken.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._started = time.monotonic()
        self._stack = stack
        self._settings = load_settings()
        api = section(read_config(), "api", ApiSettings)
        _require_free_ports(self._settings, api)
        self._processes = stack.enter_context(Processes(LOCAL / "logs"))
        self._dagster = stack.enter_context(DagsterClient(_address(self._settings.dagster.port)))
        self._service = stack.enter_context(ServiceClient(_address(api.port)))

    def run(self) -> dict[str, Any]:
        """All steps up to the live recommendations; returns what was measured, for the last line."""
        with _step(1, "Dagster UI, Kafka broker, topic and tables"):
            self._start_dagster_ui_and_broker()
        with _step(2, f"older ratings as {HISTORY} and the films as {CATALOGUE}, by one Dagster backfill over months"):
            self._backfill()
        with _step(3, f"newer ratings as JSON events into topic {self._settings.streaming.topic}"):
            self._replay()
        with _step(4, f"the Kafka-offset sensor notices them and launches {FIRST_JOB}"):
            run = self._wait_for_champion()
        with _step(5, "recommendation service and MLflow UI, beside Dagster's UI and daemon"):
            self._start_service_and_mlflow()
        ingested = ingestion_facts(self._settings)  # before the ratings that the next step sends
        with _step(6, "live recommendations"):
            figures = showcase.show(self._settings, self._service, self._started)
        if run is not None:
            with _step(4, f"meanwhile {FIRST_JOB} went on after the champion"):
                run.wait_for_success(1, RUN_TIMEOUT_SECONDS)
        self._wait_until(self._mlflow_is_ready, "the MLflow UI")
        return figures | champion_facts(self._settings) | ingested

    def stay(self) -> None:
        """Show where everything is; returns by Ctrl-C only, or raises when a process has ended."""
        click.echo("[7/7] running until Ctrl-C")
        for name, address in (
            ("service", f"{self._service.address}/schema"),
            ("Dagster", self._dagster.address),
            ("MLflow", _address(self._settings.mlflow.port)),
            ("Kafka", self._settings.streaming.kafka_bootstrap_servers),
            ("monitor", f"{self._override_of_kafka}make monitor"),
            ("try", f"curl '{self._service.address}/recommendations/user/{known_user()}?num_recommendations=5'"),
        ):
            _say(f"{name:<8} {address}")
        try:
            while True:
                self._processes.require_alive()
                time.sleep(1)
        finally:
            click.echo("\n      stopping ...")

    def _start_dagster_ui_and_broker(self) -> None:
        wanted = int(self._settings.streaming.kafka_bootstrap_servers.rpartition(":")[2])
        port = free_port(wanted)
        variable = "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS"
        os.environ[variable] = f"127.0.0.1:{port}"
        self._override_of_kafka = "" if port == wanted else f"{variable}=127.0.0.1:{port} "
        self._settings = load_settings()
        settings = self._settings
        write_history_range(settings, lambda: months_of_source(spark_session(settings), settings))
        broker = LocalBroker(LOCAL / "kafka", port)
        self._stack.callback(broker.stop)
        with ThreadPoolExecutor(1) as beside:
            instance = beside.submit(create_instance, Path.cwd())
            broker.start()
            instance.result()
        self._start_dagster_ui()
        instead = "" if port == wanted else f" ({wanted} is taken)"
        _say(f"Kafka at {broker.bootstrap_servers}{instead}, tables below {self._settings.root}")
        create_tables(self._settings.root)
        create_topic(self._settings)
        create_log_topic(self._settings)
        self._wait_until(self._dagster.is_loaded, "the Dagster UI")

    def _start_dagster_ui(self) -> None:
        os.environ["DAGSTER_HOME"] = str(Path.cwd())
        location = {"host": "127.0.0.1", "port": free_port(0), "location_name": "recommender_assets"}
        self._workspace = LOCAL / "workspace.yaml"
        self._workspace.write_text(json.dumps({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
        code = ["--module-name", "recommender_assets.definitions", "--location-name", "recommender_assets"]
        self._start("dagster-code-server", "dagster", "api", "grpc", *code, "--port", str(location["port"]))
        ui = ["--workspace", str(self._workspace), "--port", str(self._settings.dagster.port)]
        self._start("dagster-webserver", "dagster-webserver", *ui)

    def _backfill(self) -> None:
        missing = self._dagster.missing_partitions(HISTORY)
        if missing:
            backfill = self._dagster.launch_backfill([HISTORY, CATALOGUE], missing)
        # The daemon looks for backfills when it starts and then every 30 s: started now, it finds this one at once.
        self._start("dagster-daemon", "dagster-daemon", "run", "--workspace", str(self._workspace))
        if not missing:
            _say("every month is there already")
            return
        self._watch(lambda: self._dagster.runs_of_backfill(backfill)).wait_for_success(2, RUN_TIMEOUT_SECONDS)
        _say(f"{len(missing)} months, {missing[0]} to {missing[-1]}")

    def _replay(self) -> None:
        expected = ratings_to_replay(self._settings).num_rows
        if record_count(self._settings) >= expected:
            _say("the topic holds them already")
            return
        with click.progressbar(length=expected, label="      events", file=sys.stderr) as bar:
            replay_ratings(self._settings, progress=lambda sent, _: bar.update(sent - bar.pos))
        _say(f"{expected:,} events")

    def _wait_for_champion(self) -> RunWatch | None:
        root = self._settings.root
        if read_pointer(root) is not None:
            _say("there is a champion already; the sensors go on by themselves")
            return None
        since = time.time() - 1
        run = self._watch(lambda: self._dagster.runs_of_job(FIRST_JOB, since))
        run.wait_until(
            lambda runs: read_pointer(root) is not None or any(run.is_finished for run in runs), RUN_TIMEOUT_SECONDS
        )
        if read_pointer(root) is None:
            raise DemoError(f"no model was promoted: see the asset champion at {self._dagster.address}")
        return run

    def _start_service_and_mlflow(self) -> None:
        self._processes.start("service", [sys.executable, "-m", "recommender_serving"])
        store = ["--backend-store-uri", self._settings.mlflow_tracking_uri, "--workers", "1"]
        self._start("mlflow", "mlflow", "server", *store, "--port", str(self._settings.mlflow.port))
        self._wait_until(self._service.is_ready, "the recommendation service")

    def _mlflow_is_ready(self) -> bool:
        return port_is_taken(self._settings.mlflow.port)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        self._processes.start(name, [str(Path(sys.executable).with_name(program)), *arguments])

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not condition():
            self._processes.require_alive()
            if time.monotonic() > deadline:
                raise DemoError(f"{what} did not start within {START_TIMEOUT_SECONDS:.0f} s")
            time.sleep(0.2)

    def _watch(self, find: Callable[[], list[Run]]) -> RunWatch:
        return RunWatch(find, _show_step, self._processes.require_alive)


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    click.echo(f"[{number}/7] {title}")
    started = time.monotonic()
    yield
    _say(f"done in {time.monotonic() - started:.1f} s")


def _say(text: str) -> None:
    click.echo(f"      {text}")


def _show_step(step: Step) -> None:
    _say(f"{step.name:<28} {step.seconds:5.1f} s{'' if step.succeeded else '  failed'}")


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _require_free_ports(settings: Settings, api: ApiSettings) -> None:
    for key, port in (("api", api.port), ("dagster", settings.dagster.port), ("mlflow", settings.mlflow.port)):
        if port_is_taken(port):
            variable = f"RECOMMENDER__{key.upper()}__PORT"
            raise DemoError(f"port {port} is taken by something else: set {key}.port, e.g. {variable}={port + 10}")
