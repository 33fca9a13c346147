"""A/B tests from Python: a question, and its answer as a typed object that also reads as a mapping."""

import math
from collections.abc import Collection, Mapping
from typing import Literal, get_args

from recommender_assets.experiments.conduct import conduct_simulated, look_at
from recommender_assets.experiments.definitions import experiment_definition
from recommender_assets.experiments.records import read_plan
from recommender_assets.experiments.result import ExperimentResult
from recommender_assets.experiments.simulation.simulate import require_days
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.experiment_definition import Metric
from recommender_serving.engine.manifest import ALGORITHMS
from recommender_serving.engine.running_experiments import ExperimentError


class ABTestFramework:
    """Compares two algorithms by what users do with their lists.

        result = ABTestFramework(
            name="svd_vs_nmf", control_algorithm="svd", treatment_algorithm="nmf", metric="ctr",
            min_effect_size=0.02, statistical_power=0.95, significance_level=0.05,
        ).run_experiment(duration_days=14)
        result.decision, result["lift"], result["confidence_interval"]

    Args:
        name: of the experiment, also the salt of its assignment.
        control_algorithm: `svd` or `nmf`, what users get now.
        treatment_algorithm: what may replace it; the same as control for an A/A test.
        metric: `ctr` (lists with a click by served lists), `conversion` (users with a click), or `mean_rating`.
        min_effect_size: the smallest difference worth finding, absolute: 0.02 is a rate of 0.10 against 0.12, which
            takes 6,355 users an arm at power 0.95 if each sees one list.
        statistical_power: probability of finding it.
        significance_level: probability of a false alarm.
        stop_rule: `fixed` judges once when every arm has its users, `sequential` may be looked at and stopped daily.
        settings: the project's; read from `config.yaml` when left out.

    Raises:
        ValueError: naming the argument, its value and the rule.
    """

    def __init__(  # noqa: PLR0917 (the positions are part of the interface)
        self,
        name: str,
        control_algorithm: str,
        treatment_algorithm: str,
        metric: str = "ctr",
        min_effect_size: float = 0.02,
        statistical_power: float = 0.95,
        significance_level: float = 0.05,
        *,
        stop_rule: str = "fixed",
        settings: Settings | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise ValueError(f"name must be text, got {name!r}")  # noqa: TRY004 (every bad argument is a ValueError)
        _require_one_of("control_algorithm", control_algorithm, ALGORITHMS)
        _require_one_of("treatment_algorithm", treatment_algorithm, ALGORITHMS)
        _require_one_of("metric", metric, get_args(Metric))
        _require_one_of("stop_rule", stop_rule, ("fixed", "sequential"))
        numbers = {
            "min_effect_size": min_effect_size,
            "statistical_power": statistical_power,
            "significance_level": significance_level,
        }
        _require_numbers(numbers)
        algorithms = {"control": control_algorithm, "treatment": treatment_algorithm}
        variants = {arm: {"algorithm": algorithm} for arm, algorithm in algorithms.items()}
        fields = {"name": name, "variants": variants, "metric": metric, "stop_rule": stop_rule, **numbers}
        self.definition = experiment_definition(fields)
        self._settings = settings

    def run_experiment(
        self, duration_days: int = 14, *, traffic: Literal["simulated", "logged"] = "simulated", seed: int = 0
    ) -> ExperimentResult:
        """Run the experiment on simulated visitors, or analyse what users did in the running one of this name.

        Args:
            duration_days: simulated days, over which the planned number of visitors arrives; of logged traffic, the
                days since the start that count.
            traffic: `simulated`: visitors that draw on real users' ratings, at a real service started for them.
                `logged`: served lists and interactions from the tables.
            seed: of everything that simulated visitors do.

        Raises:
            ValueError: `duration_days` is out of range, no model is deployed, nobody clicks at all, or an experiment of
                this name was started with another definition.
        """
        require_days(duration_days)
        _require_one_of("traffic", traffic, ("simulated", "logged"))
        settings = self._settings or load_settings()
        if traffic == "logged":
            self._require_same_question(settings)
            return look_at(settings, self.definition.name, duration_days).results[0]
        return conduct_simulated(settings, self.definition, duration_days, seed).results[0]

    def _require_same_question(self, settings: Settings) -> None:
        started = read_plan(settings.root, self.definition.name).definition
        if started.fingerprint != self.definition.fingerprint:
            raise ExperimentError(f"experiment {started.name!r} was started with another definition: {started}")


def _require_one_of(name: str, value: object, known: Collection[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _require_numbers(values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}")
