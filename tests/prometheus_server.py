"""A real Prometheus with the shipped rules that scrapes what a test has started."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from recommender_assets.local.broker import free_port
from recommender_assets.monitoring.local_configuration import write_prometheus_configuration
from recommender_assets.monitoring.monitor import prometheus_command
from tests.tools import program
from tests.waiting import wait_until

DEPLOY = Path(__file__).parents[1] / "deploy"


class PrometheusServer:
    """Questions to a running Prometheus."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression yields now, each with its labels and its value."""
        answer = self._http.get("/api/v1/query", params={"query": expr})
        assert answer.status_code == httpx.codes.OK, f"{expr}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def firing(self) -> dict[str, dict[str, str]]:
        """Labels by name of the alerts that fire."""
        alerts = self._http.get("/api/v1/alerts").raise_for_status().json()["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] == "firing"}

    def is_ready(self) -> bool:
        """Whether it answers questions."""
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[PrometheusServer]:
    """A Prometheus that looks every second, with everything else as shipped.

    Args:
        folder: for configuration and data.
        targets: job of the shipped configuration -> host:port.
    """
    program("prometheus", "the package prometheus (apt-get install prometheus)")
    configuration = write_prometheus_configuration(DEPLOY, folder, targets)
    document = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration.write_text(yaml.safe_dump(document), encoding="utf-8")
    port = free_port(0)
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(prometheus_command(configuration, folder / "data", port), stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
                server = PrometheusServer(http)
                wait_until(server.is_ready, 20, f"Prometheus is ready; see {folder}/prometheus.log")
                yield server
        finally:
            process.terminate()
            process.wait(20)
