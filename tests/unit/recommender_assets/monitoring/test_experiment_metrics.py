from pathlib import Path

import msgspec
import pytest

from recommender_assets.monitoring.experiment_metrics import PLANNED_USERS, STARTED, ExperimentMetrics
from recommender_assets.settings import Settings, StorageSettings
from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import (
    ExperimentError,
    RunningExperiment,
    running_experiments_path,
    start_experiment,
)


@pytest.fixture
def settings(project_settings: Settings, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(project_settings, storage=StorageSettings(root=str(tmp_path)))


def test_running_experiments_have_their_start_and_plan(settings: Settings) -> None:
    assert ExperimentMetrics(settings).read() == {STARTED: {}, PLANNED_USERS: {}}
    variants = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}
    definition = ExperimentDefinition(name="heads", variants=variants)
    experiment = RunningExperiment(
        definition=definition, started_us=1_767_225_600_000_000, users_per_arm=400, variances=(0.1, 0.1)
    )
    start_experiment(settings.root, experiment)
    assert ExperimentMetrics(settings).read() == {
        STARTED: {("heads",): 1_767_225_600},
        PLANNED_USERS: {("heads",): 400},
    }


def test_a_damaged_list_is_an_error(settings: Settings) -> None:
    path = running_experiments_path(settings.root)
    path.parent.mkdir(parents=True)
    path.write_text("[", encoding="utf-8")
    with pytest.raises(ExperimentError):
        ExperimentMetrics(settings).read()
