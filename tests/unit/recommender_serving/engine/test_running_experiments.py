from pathlib import Path
from typing import Any

import pytest

from recommender_serving.engine.experiment_definition import ExclusionSlice, ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import (
    ExperimentError,
    RunningExperiment,
    read_running,
    running_experiments_path,
    start_experiment,
    stop_experiment,
)


def experiment(name: str = "one", started_us: int = 5, **changes: Any) -> RunningExperiment:
    variants = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}
    definition = ExperimentDefinition(name=name, variants=variants, **changes)
    return RunningExperiment(definition=definition, started_us=started_us, users_per_arm=100, variances=(0.1, 0.1))


def test_without_a_file_nothing_runs(tmp_path: Path) -> None:
    assert read_running(tmp_path) == ()


def test_what_is_started_runs_until_it_is_stopped(tmp_path: Path) -> None:
    start_experiment(tmp_path, experiment("b"))
    start_experiment(tmp_path, experiment("a"))
    assert [one.definition.name for one in read_running(tmp_path)] == ["a", "b"]
    assert stop_experiment(tmp_path, "a") == experiment("a")
    assert read_running(tmp_path) == (experiment("b"),)


def test_the_traffic_share_may_change_and_start_and_plan_stay(tmp_path: Path) -> None:
    start_experiment(tmp_path, experiment(traffic_share=0.1))
    changed = start_experiment(tmp_path, experiment(started_us=99, traffic_share=0.5, forced={"me": "treatment"}))
    assert (changed.started_us, changed.definition.traffic_share) == (5, 0.5)
    assert read_running(tmp_path) == (changed,)


def test_the_question_of_a_running_experiment_cannot_change(tmp_path: Path) -> None:
    start_experiment(tmp_path, experiment())
    with pytest.raises(ExperimentError, match="'one' is running with another definition"):
        start_experiment(tmp_path, experiment(metric="conversion"))
    assert read_running(tmp_path) == (experiment(),)


def test_overlapping_experiments_are_refused(tmp_path: Path) -> None:
    start_experiment(tmp_path, experiment("a", slice=ExclusionSlice(group="g", start=0, end=0.6)))
    with pytest.raises(ExperimentError, match="overlap"):
        start_experiment(tmp_path, experiment("b", slice=ExclusionSlice(group="g", start=0.5, end=1)))
    assert len(read_running(tmp_path)) == 1


def test_stopping_what_does_not_run_names_what_does(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="running: none"):
        stop_experiment(tmp_path, "x")
    start_experiment(tmp_path, experiment("a"))
    with pytest.raises(ExperimentError, match="no experiment 'x' is running; running: a"):
        stop_experiment(tmp_path, "x")


@pytest.mark.parametrize("content", [b"", b"{", b"[{}]", b"\xff", b'[{"definition": 1}]'])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = running_experiments_path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ExperimentError, match=r"RUNNING\.json"):
        read_running(tmp_path)
