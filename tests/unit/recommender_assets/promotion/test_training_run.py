from pathlib import Path
from typing import Any

import pytest

from recommender_assets.ingestion.tables import table_path
from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.factor_model import write_model
from recommender_serving.engine.manifest import Manifest, Position
from tests.factories import make_model

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

CURVE = [1.0 - step / 10_000 for step in range(1_500)]  # more points than one request of MLflow takes


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path_factory.mktemp("training"))})


@pytest.fixture(scope="module")
def registry(settings: Settings) -> Any:
    """One sqlite store for the module: creating its tables takes seconds."""
    from recommender_assets.promotion.registry import Registry

    return Registry(settings)


@pytest.fixture(scope="module")
def model(settings: Settings) -> tuple[Path, Manifest]:
    directory = candidate_directory(settings.root, "svd-run")
    directory.parent.mkdir(parents=True)
    return directory, write_model(directory, make_model(version="svd-run"))


def start(registry: Any, parent: str | None = None) -> Any:
    from recommender_assets.promotion.training_run import TrainingRun

    return TrainingRun(registry, "svd", {"factors": 4, "beta_loss": "frobenius"}, parent)


def test_losses_appear_while_the_training_goes_on(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("recommender_assets.promotion.training_run.time.monotonic", lambda: now[0])
    with start(registry) as run:
        found = registry.client.get_run(run.run_id)
        assert (found.info.status, found.data.params) == ("RUNNING", {"factors": "4", "beta_loss": "frobenius"})
        run.progress("rating head", 1, 3, {"rating_rmse": 1.0})
        assert registry.client.get_metric_history(run.run_id, "rating_rmse") == [], "held back for a second"
        now[0] += 1.0
        run.progress("rating head", 2, 3, {"rating_rmse": 0.9})
        seen = registry.client.get_metric_history(run.run_id, "rating_rmse")
        assert [(point.step, point.value) for point in seen] == [(1, 1.0), (2, 0.9)]
    assert registry.client.get_run(run.run_id).info.status == "FINISHED"


def test_long_curves_are_logged_whole_and_in_order(registry: Any) -> None:
    with start(registry) as run:
        for step, value in enumerate(CURVE, 1):
            run.progress("rating head", step, len(CURVE), {"rating_rmse": value})
    history = registry.client.get_metric_history(run.run_id, "rating_rmse")
    assert [point.value for point in sorted(history, key=lambda point: point.step)] == CURVE


def test_a_training_that_raises_leaves_a_failed_run_with_what_was_known(registry: Any) -> None:
    run = start(registry)

    def train() -> None:
        with run:
            run.progress("rating head", 1, 3, {"rating_rmse": 1.0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    found = registry.client.get_run(run.run_id)
    assert (found.info.status, found.info.run_name) == ("FAILED", "svd training")
    assert found.data.metrics == {"rating_rmse": 1.0}


def test_the_run_has_model_data_and_position(settings: Settings, registry: Any, model: tuple[Path, Manifest]) -> None:
    import msgspec

    from recommender_assets.promotion.registry import VERSION_TAG

    directory, manifest = model
    versions = {"interactions": 7, "items": 1}
    position = Position(table_versions=versions, topic="events", topic_id="t1", next_offsets={"0": 12})
    with start(registry) as parent, start(registry, parent.run_id) as run:
        run.log_model(directory, msgspec.structs.replace(manifest, position=position), settings.root)
        run.log_image(b"png", "training_curves")
    found = registry.client.get_run(run.run_id)
    assert found.info.run_name == found.data.tags[VERSION_TAG] == "svd-run"
    assert found.data.tags["mlflow.parentRunId"] == parent.run_id
    assert "mlflow.parentRunId" not in registry.client.get_run(parent.run_id).data.tags
    assert found.data.metrics.items() >= manifest.metrics.items()
    told = {name: found.data.tags[f"recommender.{name}"] for name in ("topic", "topic_id", "next_offsets")}
    assert told == {"topic": "events", "topic_id": "t1", "next_offsets": '{"0": 12}'}
    read = [(entry.dataset.name, entry.dataset.digest, entry.tags[0].value) for entry in found.inputs.dataset_inputs]
    assert sorted(read) == [("interactions", "version 7", "training"), ("items", "version 1", "training")]
    source = msgspec.json.decode(found.inputs.dataset_inputs[0].dataset.source)
    assert source["path"] == table_path(settings.root, "interactions")
    assert source["delta_table_version"] == 7
    files = {file.path for file in registry.client.list_artifacts(run.run_id, "model/data")}
    assert files == {f"model/data/{path.name}" for path in directory.iterdir()}
    assert [file.path for file in registry.client.list_artifacts(run.run_id, "plots")] == ["plots/training_curves.png"]
