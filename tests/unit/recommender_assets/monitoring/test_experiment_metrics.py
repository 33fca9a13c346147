import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from recommender_assets.experiments.experiment_run import ExperimentRun
from recommender_assets.experiments.verdicts import write_verdicts
from recommender_assets.monitoring.experiment_metrics import (
    DECISION,
    DIFFERENCE,
    DIFFERENCE_HIGH,
    DIFFERENCE_LOW,
    EXPERIMENT_METRICS,
    LAST_LOOK,
    PLANNED_USERS,
    SAMPLE_RATIO,
    STARTED,
    USERS,
    ExperimentMetrics,
)
from recommender_assets.settings import Settings
from recommender_serving.engine.config import StorageSettings
from recommender_serving.engine.running_experiments import (
    ExperimentError,
    running_experiments_path,
    start_experiment,
    stop_experiment,
)
from tests.unit.recommender_assets.experiments.runs import experiment_run

MONDAY, TUESDAY = dt.date(2026, 1, 5), dt.date(2026, 1, 6)
RATES = {"control": 0.2, "treatment": 0.3}


@pytest.fixture
def settings(project_settings: Settings, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(project_settings, storage=StorageSettings(root=str(tmp_path)))


def look(
    settings: Settings,
    day: dt.date,
    users: int = 2_000,
    traffic: Literal["logged", "simulated"] = "logged",
    name: str = "one",
) -> None:
    run = experiment_run(RATES, users=users, name=name)
    results = tuple(replace(result, traffic=traffic) for result in run.results)
    write_verdicts(settings.root, ExperimentRun(run.experiment, results), day)


def test_without_an_experiment_there_is_nothing(settings: Settings) -> None:
    readings = ExperimentMetrics(settings).read()
    assert readings.keys() == set(EXPERIMENT_METRICS)
    assert not any(readings.values())


def test_before_the_first_look_a_running_experiment_has_its_start_and_plan(settings: Settings) -> None:
    experiment = start_experiment(settings.root, experiment_run(RATES).experiment)
    readings = ExperimentMetrics(settings).read()
    assert readings[STARTED] == {("one",): experiment.started_us / 1e6}
    assert readings[PLANNED_USERS] == {("one",): experiment.users_per_arm}
    assert readings[LAST_LOOK] == readings[USERS] == {}


def test_the_latest_look_is_shown_and_a_new_one_replaces_it(settings: Settings) -> None:
    start_experiment(settings.root, experiment_run(RATES).experiment)
    metrics = ExperimentMetrics(settings)
    look(settings, MONDAY, users=500)
    first = metrics.read()
    look(settings, TUESDAY)
    second = metrics.read()
    result = experiment_run(RATES, users=2_000).results[0]
    assert sum(first[USERS].values()) < sum(second[USERS].values())
    assert second[USERS] == {("one", arm): count for arm, count in result.samples.items()}
    assert second[SAMPLE_RATIO] == {("one",): result.sample_ratio_p_value}
    assert second[DECISION] == {("one", "treatment", result.decision): 1}
    assert second[DIFFERENCE][("one", "treatment")] == pytest.approx(result.difference)
    assert second[DIFFERENCE_LOW].keys() == second[DIFFERENCE_HIGH].keys() == second[DIFFERENCE].keys()
    assert second[LAST_LOOK][("one",)] > first[LAST_LOOK][("one",)]


def test_what_was_simulated_is_stopped_or_is_of_another_name_is_not_shown(settings: Settings) -> None:
    start_experiment(settings.root, experiment_run(RATES).experiment)
    metrics = ExperimentMetrics(settings)
    look(settings, MONDAY, traffic="simulated")
    look(settings, MONDAY, name="other")
    assert metrics.read()[USERS] == {}
    look(settings, MONDAY)
    assert metrics.read()[USERS]
    stop_experiment(settings.root, "one")
    assert not any(metrics.read().values())


def test_a_look_without_a_figure_leaves_it_out(settings: Settings) -> None:
    start_experiment(settings.root, experiment_run(RATES).experiment)
    look(settings, MONDAY, users=0)
    readings = ExperimentMetrics(settings).read()
    assert readings[DECISION] == {("one", "treatment", "not_enough_data"): 1}
    assert readings[DIFFERENCE] == readings[DIFFERENCE_LOW] == {}


def test_a_damaged_list_is_an_error(settings: Settings) -> None:
    path = running_experiments_path(settings.root)
    path.parent.mkdir(parents=True)
    path.write_text("[", encoding="utf-8")
    with pytest.raises(ExperimentError):
        ExperimentMetrics(settings).read()
