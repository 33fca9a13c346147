"""Metrics of running experiments, from `experiments/RUNNING.json`."""

from collections.abc import Mapping

from recommender_assets.monitoring.metric import MetricDefinition, Samples
from recommender_assets.settings import Settings
from recommender_serving.engine.running_experiments import read_running

STARTED = MetricDefinition(
    "recommender_experiment_started_timestamp_seconds",
    "gauge",
    "Unix time of the start of a running experiment.",
    ("experiment",),
)
PLANNED_USERS = MetricDefinition(
    "recommender_experiment_planned_users", "gauge", "Users that each arm was planned to have.", ("experiment",)
)
EXPERIMENT_METRICS = (STARTED, PLANNED_USERS)


class ExperimentMetrics:
    """Reads the list of running experiments."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.root

    def read(self) -> Mapping[MetricDefinition, Samples]:
        """The metrics now.

        Raises:
            ExperimentError: the list of running experiments is damaged.
        """
        running = read_running(self._root)
        return {
            STARTED: {(one.definition.name,): one.started_us / 1e6 for one in running},
            PLANNED_USERS: {(one.definition.name,): one.users_per_arm for one in running},
        }
