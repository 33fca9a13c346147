import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from recommender_assets.experiments import ABTestFramework
from recommender_assets.experiments.records import begin
from recommender_serving.engine.running_experiments import ExperimentError, RunningExperiment
from tests.matrices import default_settings
from tests.unit.recommender_assets.experiments.runs import experiment_run

ASKED = {"name": "svd_vs_nmf", "control_algorithm": "svd", "treatment_algorithm": "nmf"}


def framework(**changes: Any) -> ABTestFramework:
    return ABTestFramework(**{**ASKED, "settings": default_settings(), **changes})


def test_the_question_is_what_was_asked() -> None:
    definition = ABTestFramework(
        name="svd_vs_nmf",
        control_algorithm="svd",
        treatment_algorithm="nmf",
        metric="ctr",
        min_effect_size=0.02,
        statistical_power=0.95,
        significance_level=0.05,
    ).definition
    assert {arm: variant.algorithm for arm, variant in definition.variants.items()} == {
        "control": "svd",
        "treatment": "nmf",
    }
    assert (definition.metric, definition.min_effect_size, definition.stop_rule) == ("ctr", 0.02, "fixed")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "names of experiments and variants are 1-64 .* got ''"),
        ({"name": 3}, "name must be text, got 3"),
        ({"control_algorithm": "als"}, "control_algorithm must be one of svd, nmf, got 'als'"),
        ({"treatment_algorithm": None}, "treatment_algorithm must be one of svd, nmf, got None"),
        ({"metric": "revenue"}, "metric must be one of ctr, conversion, mean_rating, got 'revenue'"),
        ({"stop_rule": "never"}, "stop_rule must be one of fixed, sequential, got 'never'"),
        ({"min_effect_size": -0.02}, "min_effect_size must be greater than 0, got -0.02"),
        ({"min_effect_size": 0}, "min_effect_size must be greater than 0, got 0"),
        ({"min_effect_size": float("nan")}, "min_effect_size must be a finite number, got nan"),
        ({"min_effect_size": "0.02"}, "min_effect_size must be a finite number, got '0.02'"),
        ({"statistical_power": 1}, "statistical_power must lie between 0 and 1, both excluded, got 1"),
        ({"statistical_power": True}, "statistical_power must be a finite number, got True"),
        ({"significance_level": 0.0}, "significance_level must lie between 0 and 1, both excluded, got 0"),
    ],
)
def test_a_bad_argument_is_named_with_its_value_and_rule(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        framework(**changes)


@pytest.mark.parametrize("days", [0, -1, 366, 1.5, True, "14", None])
def test_a_duration_is_a_whole_number_of_days(days: Any) -> None:
    with pytest.raises(ValueError, match="duration_days must be a whole number from 1 to 365"):
        framework().run_experiment(days)


def test_traffic_is_simulated_or_logged() -> None:
    with pytest.raises(ValueError, match="traffic must be one of simulated, logged, got 'real'"):
        framework().run_experiment(14, traffic="real")  # type: ignore[arg-type]


def test_an_experiment_with_real_users_has_to_have_been_started_with_this_question(tmp_path: Any) -> None:
    asked = framework(settings=default_settings(str(tmp_path)))
    with pytest.raises(ExperimentError, match="'svd_vs_nmf' was never started; known are: none"):
        asked.run_experiment(14, traffic="logged")
    other = framework(metric="conversion").definition
    begin(tmp_path, RunningExperiment(definition=other, started_us=1, users_per_arm=2, variances=(1.0, 1.0)))
    with pytest.raises(ExperimentError, match=r"was started with another definition: .*conversion"):
        asked.run_experiment(14, traffic="logged")


def test_a_result_reads_as_a_mapping_and_as_an_object() -> None:
    result = experiment_run({"control": 0.2, "treatment": 0.3}).results[0]
    for key in (
        *("lift", "p_value", "confidence_interval", "effect_size", "power", "sample_size", "samples", "decision"),
        *("sample_ratio_p_value", "traffic", "population", "difference", "difference_interval"),
    ):
        assert result[key] == getattr(result, key)
        assert key in dict(result)
    with pytest.raises(KeyError, match="missing"):
        result["missing"]


def test_the_package_is_light_until_the_framework_is_asked_for() -> None:
    script = (
        "import sys, recommender_assets.experiments as experiments; "
        "heavy = {'pandas', 'scipy', 'pyspark', 'mlflow'} & set(sys.modules); assert not heavy, heavy; "
        "assert experiments.ABTestFramework.__name__ == 'ABTestFramework'; "
        "assert not hasattr(experiments, 'Nothing')"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
