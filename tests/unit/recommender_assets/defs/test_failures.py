from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from recommender_assets.defs.failures import failure_webhook_sensor
from recommender_assets.settings import Settings, load_settings
from tests.canned_server import CannedServer


@pytest.fixture
def chat_room() -> Iterator[CannedServer]:
    server = CannedServer()
    server.answers = [(200, "ok")]
    yield server
    server.close()


def settings_with(tmp_path: Path, webhook: str, seconds: float = 5.0) -> Settings:
    return load_settings(
        environ={
            "RECOMMENDER__STORAGE__ROOT": str(tmp_path),
            "RECOMMENDER__DAGSTER__FAILURE_WEBHOOK": webhook,
            "RECOMMENDER__DAGSTER__FAILURE_WEBHOOK_SECONDS": str(seconds),
        }
    )


def failed_run_told_to(settings: Settings) -> tuple[Any, str]:
    """What the sensor makes of a real run that failed, and the run's id."""

    @dg.asset
    def breaks() -> None:
        raise ValueError("no interactions to learn from")

    job = dg.Definitions(assets=[breaks], jobs=[dg.define_asset_job("train_job", [breaks])]).resolve_job_def(
        "train_job"
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="failure_webhook_sensor",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
            resources={"settings": settings},
        )
        return failure_webhook_sensor(context.for_run_failure()), result.run_id


def test_a_failed_run_is_posted(tmp_path: Path, chat_room: CannedServer) -> None:
    answer, run_id = failed_run_told_to(settings_with(tmp_path, f"{chat_room.address}/hook/secret"))
    assert answer is None
    ((method, path, body),) = chat_room.asked
    assert (method, path) == ("POST", "/hook/secret")
    assert body["text"] == f"Dagster run {run_id[:8]} of train_job failed: breaks"
    assert (body["job"], body["run_id"], body["url"]) == ("train_job", run_id, f"http://localhost:3001/runs/{run_id}")
    assert "failed step: breaks" in body["error"]


def test_without_an_address_nothing_is_posted(tmp_path: Path) -> None:
    answer, _ = failed_run_told_to(settings_with(tmp_path, '""'))
    assert isinstance(answer, dg.SkipReason)
    assert "failure_webhook is empty" in str(answer.skip_message)


def test_a_refused_post_is_seen(tmp_path: Path, chat_room: CannedServer) -> None:
    chat_room.answers = [(500, "full")]
    with pytest.raises(Exception, match="500 Internal Server Error"):
        failed_run_told_to(settings_with(tmp_path, chat_room.address))


def test_a_webhook_that_is_away_is_seen(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Connection refused"):
        failed_run_told_to(settings_with(tmp_path, "http://127.0.0.1:1"))


def test_nobody_waits_for_an_answer_that_does_not_come(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Exception, match="timed out") as caught:
            failed_run_told_to(settings_with(tmp_path, address, seconds=0.2))
    assert isinstance(caught.value, httpx.TimeoutException) or isinstance(
        caught.value.__cause__, httpx.TimeoutException
    )
