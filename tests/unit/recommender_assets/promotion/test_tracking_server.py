import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender_assets.promotion.tracking_server import (
    TrackingServerError,
    registered_model_address,
    require_tracking_server,
    run_address,
)
from recommender_assets.settings import Settings, load_settings
from tests.canned_server import CannedServer


def settings_with(tmp_path: Path, uri: str) -> Settings:
    return load_settings(
        environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path), "RECOMMENDER__MLFLOW__TRACKING_URI": uri}
    )


@pytest.fixture
def server() -> Iterator[CannedServer]:
    server = CannedServer()
    server.answers = [(200, "OK")]
    yield server
    server.close()


def test_a_server_that_answers_is_asked_once(tmp_path: Path, server: CannedServer) -> None:
    require_tracking_server(settings_with(tmp_path, f"{server.address}/"))
    assert [path for _, path, _ in server.asked] == ["/health"]


def test_a_store_on_the_disk_needs_no_server(tmp_path: Path) -> None:
    require_tracking_server(settings_with(tmp_path, '""'))


def test_a_server_that_is_down_is_named_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(
        TrackingServerError, match=r"MLflow at http://127.0.0.1:1 \(mlflow.tracking_uri\) does not answer"
    ):
        require_tracking_server(settings_with(tmp_path, "http://127.0.0.1:1"))
    assert time.monotonic() - started < 2


def test_a_server_that_is_not_well_is_named(tmp_path: Path, server: CannedServer) -> None:
    server.answers = [(503, "starting")]
    with pytest.raises(TrackingServerError, match="503"):
        require_tracking_server(settings_with(tmp_path, server.address))


def test_addresses_lead_to_the_ui(tmp_path: Path) -> None:
    here, there = settings_with(tmp_path, '""'), settings_with(tmp_path, "https://mlflow.example/")
    assert run_address(here, "1", "abc") == "http://localhost:5000/#/experiments/1/runs/abc"
    assert run_address(there, "1", "abc") == "https://mlflow.example/#/experiments/1/runs/abc"
    assert registered_model_address(there, "Recommendation_SVD") == (
        "https://mlflow.example/#/models/Recommendation_SVD"
    )
