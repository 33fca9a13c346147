"""Metrics of running experiments: their plans, and the latest look at each in table `experiment_verdicts`."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recommender_assets.ingestion.tables import read_table, table_version
from recommender_assets.monitoring.metric import MetricDefinition, Samples
from recommender_assets.settings import Settings
from recommender_serving.engine.running_experiments import RunningExperiment, read_running

STARTED = MetricDefinition(
    "recommender_experiment_started_timestamp_seconds",
    "gauge",
    "Unix time of the start of a running experiment.",
    ("experiment",),
)
PLANNED_USERS = MetricDefinition(
    "recommender_experiment_planned_users", "gauge", "Users that each arm was planned to have.", ("experiment",)
)
LAST_LOOK = MetricDefinition(
    "recommender_experiment_last_look_timestamp_seconds",
    "gauge",
    "Unix time of the latest look at a running experiment.",
    ("experiment",),
)
USERS = MetricDefinition(
    "recommender_experiment_users", "gauge", "Users seen by arm, at the latest look.", ("experiment", "arm")
)
SAMPLE_RATIO = MetricDefinition(
    "recommender_experiment_sample_ratio_p_value",
    "gauge",
    "P-value of users having arrived in the planned proportion, at the latest look.",
    ("experiment",),
)
_OF_A_TREATMENT = ("experiment", "treatment")
DIFFERENCE = MetricDefinition(
    "recommender_experiment_difference",
    "gauge",
    "Treatment minus control in the experiment's metric, at the latest look.",
    _OF_A_TREATMENT,
)
DIFFERENCE_LOW = MetricDefinition(
    "recommender_experiment_difference_low", "gauge", "Lower end of the difference's interval.", _OF_A_TREATMENT
)
DIFFERENCE_HIGH = MetricDefinition(
    "recommender_experiment_difference_high", "gauge", "Upper end of the difference's interval.", _OF_A_TREATMENT
)
DECISION = MetricDefinition(
    "recommender_experiment_decision_info",
    "gauge",
    "1 for the decision of the latest look.",
    (*_OF_A_TREATMENT, "decision"),
)
EXPERIMENT_METRICS = (
    STARTED,
    PLANNED_USERS,
    LAST_LOOK,
    USERS,
    SAMPLE_RATIO,
    DIFFERENCE,
    DIFFERENCE_LOW,
    DIFFERENCE_HIGH,
    DECISION,
)

_FIGURES = {DIFFERENCE: "difference", DIFFERENCE_LOW: "difference_low", DIFFERENCE_HIGH: "difference_high"}
_COLUMNS = [
    "experiment",
    "treatment",
    "decision",
    "users",
    "sample_ratio_p_value",
    *_FIGURES.values(),
    "written_at",
]


class ExperimentMetrics:
    """Reads the list of running experiments, and of the verdicts only a version of the table that is new."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.root
        self._seen: tuple[int | None, tuple[RunningExperiment, ...]] = (None, ())
        self._looks: list[dict[str, Any]] = []

    def read(self) -> Mapping[MetricDefinition, Samples]:
        """The metrics now.

        Raises:
            ExperimentError: the list of running experiments is damaged.
        """
        running = read_running(self._root)
        seen = (table_version(self._root, "experiment_verdicts"), running)
        if seen != self._seen:
            self._looks = self._latest_looks(running) if seen[0] is not None else []
            self._seen = seen
        return {
            STARTED: {(one.definition.name,): one.started_us / 1e6 for one in running},
            PLANNED_USERS: {(one.definition.name,): one.users_per_arm for one in running},
            **_of_looks(self._looks),
        }

    def _latest_looks(self, running: Iterable[RunningExperiment]) -> list[dict[str, Any]]:
        """The latest row of each treatment of the running experiments; what was simulated under the name is not it."""
        names = pa.array([one.definition.name for one in running], pa.string())
        is_wanted = (pc.field("traffic") == "logged") & pc.field("experiment").isin(names)
        rows = read_table(self._root, "experiment_verdicts", _COLUMNS, is_wanted).sort_by("written_at")
        latest = {(row["experiment"], row["treatment"]): row for row in rows.to_pylist(maps_as_pydicts="strict")}
        return list(latest.values())


def _of_looks(looks: Iterable[Mapping[str, Any]]) -> dict[MetricDefinition, Samples]:
    found: dict[MetricDefinition, dict[tuple[str, ...], float]] = {
        metric: {} for metric in (LAST_LOOK, USERS, SAMPLE_RATIO, *_FIGURES, DECISION)
    }
    for look in looks:
        name, treatment = look["experiment"], look["treatment"]
        found[LAST_LOOK][name,] = look["written_at"].timestamp()
        found[SAMPLE_RATIO][name,] = look["sample_ratio_p_value"]
        found[USERS] |= {(name, arm): count for arm, count in look["users"].items()}
        found[DECISION][name, treatment, look["decision"]] = 1.0
        for metric, column in _FIGURES.items():
            if look[column] is not None:
                found[metric][name, treatment] = look[column]
    return dict(found)
