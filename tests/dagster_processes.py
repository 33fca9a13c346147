"""Dagster as it is deployed: a code location, its daemon and its web server as processes of their own."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recommender_assets.local.broker import free_port
from recommender_assets.local.dagster_instance import create_instance
from recommender_assets.local.processes import Processes

PROJECT = Path(__file__).parents[1]
LOCATION = "recommender_assets"


class DagsterProcesses:
    """Starts Dagster's programs with the project's own `dagster.yaml`, whose folders are moved below `home`.

    Args:
        processes: what ends them.
        home: `DAGSTER_HOME`; `logs` below it is the place of Dagster's telemetry, which empties it.
        environ: variables of the code location, and so of every run.
    """

    def __init__(self, processes: Processes, home: Path, environ: Mapping[str, str]) -> None:
        self._processes = processes
        self._environ = {"DAGSTER_HOME": str(home), "PYTHONPATH": str(PROJECT), **environ}
        instance = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))
        for section in ("storage", "compute_logs", "local_artifact_storage"):
            instance[section] = _below(home, instance[section])
        (home / "dagster.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")
        create_instance(home)
        port = free_port(0)
        location = {"host": "127.0.0.1", "port": port, "location_name": LOCATION}
        self._workspace = home / "workspace.yaml"
        self._workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
        module = ["--module-name", "recommender_assets.definitions", "--location-name", LOCATION]
        self._start("dagster", "api", "grpc", *module, "--port", str(port))

    def start_web_server(self) -> str:
        """Start the web server; returns its address."""
        port = free_port(0)
        self._start("dagster-webserver", "--workspace", str(self._workspace), "--port", str(port))
        return f"http://127.0.0.1:{port}"

    def start_daemon(self) -> None:
        """Start what evaluates sensors and starts runs."""
        self._start("dagster-daemon", "run", "--workspace", str(self._workspace))

    def _start(self, program: str, *arguments: str) -> None:
        self._processes.start(program, [str(Path(sys.executable).with_name(program)), *arguments], self._environ)


def _below(home: Path, section: Any) -> Any:
    if isinstance(section, dict):
        return {key: str(home / value) if key == "base_dir" else _below(home, value) for key, value in section.items()}
    return section
