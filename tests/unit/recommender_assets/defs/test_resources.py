from typing import Any

import dagster as dg
import pytest
from dagster_pyspark import LazyPySparkResource

from recommender_assets.definitions import defs
from recommender_assets.defs.resources import end_mlflow_run, spark
from recommender_assets.settings import Settings, load_settings

LOGS_TO_MLFLOW = {"svd_model", "nmf_model", "evaluation_report", "champion"}
SPARK_ASSETS = {"interactions", "interaction_history"}


@pytest.fixture(scope="module")
def executable() -> dict[str, dg.AssetsDefinition]:
    found = defs().assets or []
    return {
        key.to_user_string(): asset
        for asset in found
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable
        for key in asset.keys
    }


def test_every_asset_that_logs_to_mlflow_closes_its_run(executable: dict[str, dg.AssetsDefinition]) -> None:
    hooked = {name for name, asset in executable.items() if end_mlflow_run in asset.hook_defs}
    labelled = {name for name, asset in executable.items() if "mlflow" in asset.specs_by_key[dg.AssetKey(name)].kinds}
    assert hooked == LOGS_TO_MLFLOW
    assert labelled == LOGS_TO_MLFLOW | {"experiment_report"}, (
        "whose run is that of the experiment, for as long as it goes"
    )


@pytest.mark.parametrize(("job", "hooked"), [("ingest_job", False), ("train_job", True), ("recommendation_job", True)])
def test_jobs_that_train_close_the_run(job: str, *, hooked: bool) -> None:
    assert (end_mlflow_run in defs().resolve_job_def(job).hook_defs) is hooked


def test_assets_ask_for_no_more_than_they_use(executable: dict[str, dg.AssetsDefinition]) -> None:
    assert {name for name, asset in executable.items() if "spark" in asset.required_resource_keys} == SPARK_ASSETS
    assert all("settings" in asset.required_resource_keys for asset in executable.values())
    assert set(defs().resources or {}) == {"settings", "spark", "mlflow"}


def test_profiles_wait_for_the_champion(executable: dict[str, dg.AssetsDefinition]) -> None:
    late = {name for name, asset in executable.items() if asset.op.tags.get("dagster/priority") == "-1"}
    assert late == {"user_profiles", "item_profiles"}


def test_the_hook_is_the_one_of_dagster_mlflow() -> None:
    assert end_mlflow_run.name == "end_mlflow_on_run_finished"
    assert end_mlflow_run.required_resource_keys == {"mlflow"}


def test_the_spark_resource_starts_nothing_before_its_first_use(
    monkeypatch: pytest.MonkeyPatch, project_settings: Settings
) -> None:
    def conf(settings: Settings) -> dict[str, Any]:
        assert settings is project_settings
        return {"spark.app.name": "test"}

    monkeypatch.setattr("recommender_assets.defs.resources.spark_conf", conf)
    with dg.build_init_resource_context(resources={"settings": project_settings}) as context:
        resource = spark(context)
    assert isinstance(resource, LazyPySparkResource)
    assert resource.spark_config == {"spark.app.name": "test"}
    assert resource._spark_session is None


def test_the_code_location_reads_the_one_configuration() -> None:
    settings = (defs().resources or {})["settings"]
    assert settings == load_settings()
