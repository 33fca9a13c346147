"""What `make demo` promises: it works on a clean folder, continues from what is there, and leaves no process behind."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from recommender_assets.local.broker import free_port

pytestmark = pytest.mark.xdist_group("demo")

PROJECT = Path(__file__).parents[2]
BORROWED = ("config.yaml", "dagster.yaml", "workspace.yaml", "pyproject.toml", "requirements", ".local/jars")
RECOMMENDER = Path(sys.executable).with_name("recommender")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder without any data."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / ".local").mkdir()
    for name in BORROWED:
        (folder / name).symlink_to(PROJECT / name)
    return folder


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    ports = {f"RECOMMENDER__{key}__PORT": str(free_port(0)) for key in ("API", "DAGSTER", "MLFLOW")}
    kafka = {"RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port(0)}"}
    return {**os.environ, **ports, **kafka}


def run_demo(folder: Path, environ: dict[str, str]) -> tuple[str, dict[str, Any]]:
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


def processes_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_demo_takes_real_ratings_to_live_recommendations_and_continues(
    folder: Path, environ: dict[str, str]
) -> None:
    output, report = run_demo(folder, environ)
    assert report["demo"] == "ok"
    # The replayed ratings; the sensor may already have taken in the six that the demo itself sends.
    assert 12_835 <= report["interactions"] <= 12_841
    assert report["rejected"] == 0
    assert report["champion"] in report["rmse"]
    assert set(report["rmse"]) == {"svd", "nmf"}
    assert 0 < report["event_to_list_ms"] <= 1000
    assert 0 < report["new_user_ms"] <= 1000
    for asset in ("interaction_history", "items", "interactions", "user_item_matrix", "champion", "user_profiles"):
        assert f"      {asset} " in output
    assert processes_in(folder) == []

    again, continued = run_demo(folder, environ)
    assert "every month is there already" in again
    assert "the topic holds them already" in again
    assert continued["champion"] == report["champion"]
    assert continued["interactions"] >= report["interactions"]
    assert continued["first_recommendation_s"] < report["first_recommendation_s"]
    assert processes_in(folder) == []


def test_a_taken_port_is_named_with_its_setting_and_nothing_is_started(folder: Path, environ: dict[str, str]) -> None:
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
