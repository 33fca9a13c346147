"""Real runs of train_job on real ratings, with MLflow and without any Spark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recommender_assets.definitions import defs
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import read_model
from tests.histories import write_history

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::dagster.BetaWarning"
)  # of MLflow, Alembic and dagster-mlflow

QUICK = {
    "svd_model": {"config": {"factors": 8, "epochs": 20, "ranking_iterations": 3}},
    "nmf_model": {"config": {"factors": 6, "iterations": 5, "ranking_iterations": 3}},
}


def settings_with(root: Path, **variables: str) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(root), **variables})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root whose history holds the ratings of films with many of them."""
    root = tmp_path_factory.mktemp("train") / "data"
    write_history(root)
    return root


def train(settings: Settings, instance: dg.DagsterInstance, **ops: Any) -> dg.ExecuteInProcessResult:
    job = defs().resolve_job_def("train_job")
    config = {"ops": QUICK | ops}
    return job.execute_in_process(config, instance=instance, resources={"settings": settings}, raise_on_error=False)


def test_one_training_is_one_parent_run_with_a_run_for_each_model(imported: Path, instance: dg.DagsterInstance) -> None:
    from recommender_assets.promotion.registry import Registry

    settings = settings_with(imported)
    result = train(settings, instance)
    assert result.success
    registry = Registry(settings)
    runs = registry.client.search_runs([registry.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("dagster_run_id") == result.run_id]
    models = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.data.tags["recommender.algorithm"] for run in models} == {"svd", "nmf"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 3
    assert (
        parent.data.tags.items() >= {"recommender.topic": "user_interactions", "recommender.next_offsets": "{}"}.items()
    )
    (decided,) = result.asset_materializations_for_node("champion")
    assert "/#/models/Recommendation_" in str(decided.metadata["mlflow_model"].value)
    for run in models:
        curve = registry.client.get_metric_history(run.info.run_id, "rating_rmse")
        assert [point.step for point in curve] == list(range(1, len(curve) + 1))
        assert run.data.params["hold_out_share"] == "0.1"
        assert {"rmse", "catalogue_ndcg_at_10", "train_rmse"} <= run.data.metrics.keys()
        assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {
            "interactions",
            "interaction_history",
            "items",
        }
        artifacts = {file.path for file in registry.client.list_artifacts(run.info.run_id)}
        assert {"model", "plots", "evaluation"} <= artifacts
        reports = {file.path for file in registry.client.list_artifacts(run.info.run_id, "evaluation")}
        assert "evaluation/report.html" in reports


def test_the_launchpad_changes_a_training_and_the_asset_leads_to_its_run(
    imported: Path, instance: dg.DagsterInstance
) -> None:
    settings = settings_with(imported)
    result = train(settings, instance, svd_model={"config": {"factors": 5, "epochs": 12, "ranking_iterations": 3}})
    assert result.success
    pointer = read_pointer(settings.root)
    assert pointer is not None
    (made,) = result.asset_materializations_for_node("svd_model")
    version = str(made.metadata["version"].value)
    model = read_model(settings.root / "models" / version)
    assert model.ranking.item_factors.shape[1] == 5
    assert (model.manifest.hyper_parameters["epochs"], model.manifest.hyper_parameters["learning_rate"]) == (12, 0.01)
    assert str(made.metadata["mlflow_run"].value).startswith("http://localhost:5000/#/experiments/")
    assert version_directory(settings.root, pointer.version).is_dir()


def test_a_hyper_parameter_that_breaks_a_rule_fails_before_anything_is_trained(
    imported: Path, instance: dg.DagsterInstance
) -> None:
    settings = settings_with(imported)
    before = sorted((imported / "models").glob("svd-*"))
    result = train(settings, instance, svd_model={"config": {"factors": -3}})
    assert not result.success
    failure = result.failure_data_for_node("svd_model")
    assert failure is not None
    assert "models.svd: factors must be greater than 0, got -3" in failure.error.to_string()  # type: ignore[union-attr]
    assert sorted((imported / "models").glob("svd-*")) == before


def test_without_mlflow_a_training_fails_before_its_first_step(imported: Path, instance: dg.DagsterInstance) -> None:
    settings = settings_with(imported, RECOMMENDER__MLFLOW__TRACKING_URI="http://127.0.0.1:1")
    pointer = read_pointer(settings.root)
    result = train(settings, instance)
    assert not result.success
    assert result.get_asset_materialization_events() == []
    failed = next(event for event in result.all_events if event.is_failure)
    told = str(failed.event_specific_data)
    assert "MLflow at http://127.0.0.1:1 (mlflow.tracking_uri) does not answer" in told
    assert read_pointer(settings.root) == pointer, "what is served stays as it was"
