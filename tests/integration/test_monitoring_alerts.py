"""Faults that are made on purpose are reported by name: real service, real Prometheus, the rules as shipped."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from recommender_assets.local.broker import free_port
from recommender_assets.monitoring.dashboards import DASHBOARDS
from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.factor_model import write_model
from tests.factories import make_model
from tests.prometheus_server import prometheus
from tests.waiting import wait_until

PROJECT = Path(__file__).parents[2]
EVENT = {"user_id": "u1", "item_id": "i01", "rating": 4, "timestamp": "2024-01-01T12:00:00Z"}


def promote(root: Path, version: str) -> None:
    pointer = ChampionPointer(version=version, predecessor=None, deployed={}, promoted_at="2024-01-02T00:00:00Z")
    write_pointer(root, pointer)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = version_directory(tmp_path, "svd-1")
    folder.parent.mkdir(parents=True)
    write_model(folder, make_model(version="svd-1"))
    promote(tmp_path, "svd-1")
    return tmp_path


@pytest.fixture
def service(root: Path) -> Iterator[httpx.Client]:
    """The service as a process, without a broker."""
    port = free_port(0)
    environ = {
        **os.environ,
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "RECOMMENDER__STORAGE__ROOT": str(root),
        "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "RECOMMENDER__API__PORT": str(port),
        "RECOMMENDER__API__EVENT_TIMEOUT_SECONDS": "0.2",
    }
    process = subprocess.Popen([sys.executable, "-m", "recommender_serving"], env=environ, cwd=PROJECT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)


def is_ready(service: httpx.Client) -> bool:
    try:
        return service.get("/health/ready").is_success
    except httpx.TransportError:
        return False


def test_a_broker_that_is_away_and_a_damaged_champion_raise_their_alerts_within_a_minute(
    root: Path, service: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    targets = {"recommender-service": f"127.0.0.1:{service.base_url.port}"}
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as server:
        wait_until(lambda: is_ready(service), 30, "the service is ready")
        wait_until(lambda: server.query("recommender_ready == 1"), 10, "Prometheus scrapes the service")
        assert not {"ServiceNotReady", "ModelRefused", "ErrorBudgetBurnsFast"} & server.firing().keys()

        damaged = version_directory(root, "svd-2")
        shutil.copytree(version_directory(root, "svd-1"), damaged)
        victim = damaged / "rating_item_factors.npy"
        victim.chmod(0o644)
        os.truncate(victim, victim.stat().st_size - 1)
        promote(root, "svd-2")

        started = time.monotonic()
        expected = {"ModelRefused", "ErrorBudgetBurnsFast"}
        while not expected <= server.firing().keys():
            assert time.monotonic() < started + 60, server.firing()
            assert service.post("/events", json=EVENT).status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert service.get("/recommendations/user/u1").json()["model"]["version"] == "svd-1"
        firing = server.firing()
        assert firing["ModelRefused"]["severity"] == "ticket"
        assert firing["ErrorBudgetBurnsFast"]["severity"] == "page"
        assert "ServiceNotReady" not in firing

        promote(root, "svd-1")
        wait_until(lambda: "ModelRefused" not in server.firing(), 20, "the alert ends with the fault")


def test_prometheus_understands_the_queries_of_every_panel(tmp_path: Path) -> None:
    with prometheus(tmp_path, {}) as server:
        for panel in (panel for dashboard in DASHBOARDS for panel in dashboard.panels):
            for expr in panel.queries.values():
                server.query(expr)
