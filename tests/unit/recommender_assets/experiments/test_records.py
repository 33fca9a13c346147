from pathlib import Path

import pytest

from recommender_assets.experiments.records import begin, end, read_ending, read_plan, started
from recommender_serving.engine.experiment_definition import ExclusionSlice, ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import ExperimentError, RunningExperiment, read_running

ARMS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def experiment(name: str = "one", **changes: object) -> RunningExperiment:
    definition = ExperimentDefinition(**{"name": name, "variants": ARMS, **changes})  # type: ignore[arg-type]
    return RunningExperiment(definition=definition, started_us=1_000, users_per_arm=100, variances=(0.1, 0.2))


def test_what_begins_is_written_down_and_runs(tmp_path: Path) -> None:
    begin(tmp_path, experiment())
    assert read_running(tmp_path) == (experiment(),)
    assert read_plan(tmp_path, "one") == experiment()
    assert read_ending(tmp_path, "one") is None


def test_what_has_ended_keeps_its_plan_and_says_why(tmp_path: Path) -> None:
    begin(tmp_path, experiment())
    ending = end(tmp_path, "one", "its users have been seen")
    assert read_running(tmp_path) == ()
    assert read_plan(tmp_path, "one") == experiment()
    assert read_ending(tmp_path, "one") == ending
    assert ending.reason == "its users have been seen"
    assert ending.stopped_us > 1_000


def test_a_name_is_used_once(tmp_path: Path) -> None:
    begin(tmp_path, experiment())
    end(tmp_path, "one", "over")
    with pytest.raises(ExperimentError, match=r"'one' was run before.*new name"):
        begin(tmp_path, experiment(min_effect_size=0.5))
    assert read_plan(tmp_path, "one").definition.min_effect_size == 0.02


def test_a_running_experiment_takes_more_traffic_but_no_other_question(tmp_path: Path) -> None:
    begin(tmp_path, experiment(traffic_share=0.1))
    begin(tmp_path, experiment(traffic_share=0.5))
    assert read_plan(tmp_path, "one").definition.traffic_share == 0.5
    with pytest.raises(ExperimentError, match="running with another definition"):
        begin(tmp_path, experiment(metric="conversion"))


def test_an_experiment_that_would_share_users_leaves_nothing_behind(tmp_path: Path) -> None:
    begin(tmp_path, experiment(slice=ExclusionSlice(group="home", start=0.0, end=0.6)))
    with pytest.raises(ExperimentError, match="overlap in exclusion group 'home'"):
        begin(tmp_path, experiment("two", slice=ExclusionSlice(group="home", start=0.5, end=1.0)))
    assert started(tmp_path) == ("one",)


def test_an_unknown_experiment_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="'two' was never started; known are: none"):
        read_plan(tmp_path, "two")
    begin(tmp_path, experiment())
    with pytest.raises(ExperimentError, match="'two' was never started; known are: one"):
        read_plan(tmp_path, "two")
    with pytest.raises(ExperimentError, match="no experiment 'two' is running"):
        end(tmp_path, "two", "")


def test_a_damaged_record_names_its_file(tmp_path: Path) -> None:
    begin(tmp_path, experiment())
    end(tmp_path, "one", "over")
    path = tmp_path / "experiments" / "records" / "one" / "PLAN.json"
    path.write_text('{"definition": 1}', encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"PLAN\.json"):
        read_plan(tmp_path, "one")
