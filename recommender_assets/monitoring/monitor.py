"""`recommender monitor`: the metrics, Prometheus and, where it is installed, Grafana on one machine."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import httpx

from recommender_assets.local.doctor import port_is_taken
from recommender_assets.local.prerequisites import install_command
from recommender_assets.local.processes import Processes, exit_on_termination
from recommender_assets.monitoring.local_configuration import (
    local_targets,
    write_grafana_provisioning,
    write_prometheus_configuration,
)
from recommender_assets.settings import MonitoringSettings, Settings
from recommender_serving.engine.config import ApiSettings

LOCAL = Path(".local")
DEPLOY = Path("deploy")
PROMETHEUS_PACKAGES = {
    "apt": "prometheus",
    "dnf": "golang-github-prometheus",
    "pacman": "prometheus",
    "apk": "prometheus",
    "brew": "prometheus",
}
GRAFANA_HOME = Path("/usr/share/grafana")
_START_SECONDS = 60.0


class MonitorError(RuntimeError):
    """Something that monitoring needs is missing or taken; the message says what to do."""


def run_monitor(settings: Settings, api: ApiSettings, wait: Callable[[Processes], None]) -> None:
    """Start everything, say where it is, and end it when `wait` returns.

    Args:
        settings: ports and where the data are.
        api: where the service listens.
        wait: takes the running processes and returns when they are to end.

    Raises:
        MonitorError: Prometheus is not installed, or a port is taken.
        ProcessDiedError: a process ended by itself.
    """
    monitoring = settings.monitoring
    if shutil.which("prometheus") is None:
        raise MonitorError(f"Prometheus is missing. Install it: {install_command(PROMETHEUS_PACKAGES)}")
    if not DEPLOY.is_dir():
        raise MonitorError(f"{DEPLOY.absolute()} is missing: run this in the project's folder")
    grafana = _grafana_command()
    _require_free_ports(monitoring, "port", "prometheus_port", *(["grafana_port"] if grafana else []))
    exit_on_termination()
    with Processes(LOCAL / "logs") as processes:
        _start_prometheus(processes, settings, api)
        click.echo(f"Prometheus  http://127.0.0.1:{monitoring.prometheus_port}/alerts")
        if grafana:
            processes.start("grafana", grafana, _grafana_environment(monitoring))
            _wait_for(processes, f"http://127.0.0.1:{monitoring.grafana_port}/api/health")
            click.echo(f"Grafana     http://127.0.0.1:{monitoring.grafana_port}/dashboards")
        else:
            click.echo(
                "Grafana     is not installed (https://grafana.com/docs/grafana/latest/setup-grafana/installation)"
            )
        wait(processes)


def wait_for_interrupt(processes: Processes) -> None:
    """Return never; raise when a process has ended by itself."""
    while True:
        processes.require_alive()
        time.sleep(1)


def _start_prometheus(processes: Processes, settings: Settings, api: ApiSettings) -> None:
    monitoring = settings.monitoring
    processes.start("metrics", [str(Path(sys.executable).with_name("recommender")), "metrics"])
    folder = LOCAL / "prometheus"
    configuration = write_prometheus_configuration(DEPLOY, folder, local_targets(settings, api))
    command = prometheus_command(configuration, folder / "data", monitoring.prometheus_port)
    processes.start("prometheus", command)
    _wait_for(processes, f"http://127.0.0.1:{monitoring.port}/metrics")
    _wait_for(processes, f"http://127.0.0.1:{monitoring.prometheus_port}/-/ready")


def prometheus_command(configuration: Path, data: Path, port: int) -> list[str]:
    """Program and arguments of a Prometheus that listens on this machine only."""
    return [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def _grafana_command() -> list[str] | None:
    program = shutil.which("grafana")
    return [program, "server", "--homepath", str(GRAFANA_HOME)] if program else None


def _grafana_environment(monitoring: MonitoringSettings) -> Mapping[str, str]:
    """Everybody on this machine may look, nobody logs in, nothing is sent elsewhere."""
    folder = (LOCAL / "grafana").absolute()
    provisioning = write_grafana_provisioning(DEPLOY, folder / "provisioning", monitoring.prometheus_port)
    return {
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_LOGS": str(folder / "logs"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(monitoring.grafana_port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }


def _require_free_ports(monitoring: MonitoringSettings, *fields: str) -> None:
    for field in fields:
        port = getattr(monitoring, field)
        if port_is_taken(port):
            variable = f"RECOMMENDER__MONITORING__{field.upper()}"
            hint = " (systemctl stop prometheus, if it is the package's own)" if field == "prometheus_port" else ""
            raise MonitorError(
                f"port {port} is taken by something else{hint}: set monitoring.{field}, e.g. {variable}={port + 10}"
            )


def _wait_for(processes: Processes, address: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        processes.require_alive()
        try:
            if httpx.get(address, timeout=15).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise MonitorError(f"{address} did not answer within {_START_SECONDS:.0f} s; logs are in {LOCAL / 'logs'}")
