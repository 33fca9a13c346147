"""Experiments that run in a test: svd against nmf unless told otherwise."""

from pathlib import Path
from typing import Any

from recommender_serving.engine.experiment_definition import ExperimentDefinition, Variant
from recommender_serving.engine.running_experiments import RunningExperiment, start_experiment

ARMS = {"control": Variant(algorithm="svd"), "treatment": Variant(algorithm="nmf")}


def running(name: str = "one", started_us: int = 5, **changes: Any) -> RunningExperiment:
    definition = ExperimentDefinition(**{"name": name, "variants": ARMS, **changes})
    return RunningExperiment(definition=definition, started_us=started_us, users_per_arm=100, variances=(0.1, 0.1))


def start(root: Path, name: str = "one", started_us: int = 5, **changes: Any) -> ExperimentDefinition:
    return start_experiment(root, running(name, started_us, **changes)).definition
