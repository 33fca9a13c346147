import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

PROJECT = Path(__file__).parents[4]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(PROJECT / "dagster.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_instance_keeps_everything_below_local(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_runs() == []
        assert not instance.telemetry_enabled
    assert {path.name for path in home.iterdir()} == {"dagster.yaml", ".local"}


def test_two_runs_never_ingest_or_train_at_once(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        concurrency = instance.get_concurrency_config()
        limits = {
            limit["key"]: limit["limit"]
            for limit in concurrency.run_queue_config.tag_concurrency_limits  # type: ignore[union-attr]
        }
        assert limits == {"recommender/ingests": 1, "recommender/trains": 1}
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs > sum(limits.values())  # a rollback waits for neither
        assert concurrency.pool_config.default_pool_limit == 1


def test_only_a_run_whose_process_died_is_repeated_at_once(home: Path) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_monitoring_enabled
        assert instance.get_tick_retention_settings(dg._core.definitions.run_request.InstigatorType.SCHEDULE)


def test_the_workspace_names_the_code_location() -> None:
    workspace = yaml.safe_load((PROJECT / "workspace.yaml").read_text("utf-8"))
    module = workspace["load_from"][0]["python_module"]
    assert module == {"module_name": "recommender_assets.definitions", "location_name": "recommender_assets"}
