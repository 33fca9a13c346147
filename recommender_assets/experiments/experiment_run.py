"""An experiment with what it was meant to find and what it found."""

from dataclasses import dataclass

from recommender_assets.experiments.result import ExperimentResult
from recommender_assets.presentation.plots import EffectCurve, effect_by_day
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from recommender_serving.engine.running_experiments import RunningExperiment

_VERDICTS = ("treatment", "control", "no_difference_found")


@dataclass(frozen=True)
class ExperimentRun:
    """One look at an experiment.

    Attributes:
        experiment: as it was written down before its start.
        results: one per treatment.
    """

    experiment: RunningExperiment
    results: tuple[ExperimentResult, ...]

    @property
    def definition(self) -> ExperimentDefinition:
        """The question."""
        return self.experiment.definition

    @property
    def winner(self) -> ExperimentResult | None:
        """The treatment that beats control by most, None if none does."""
        won = [result for result in self.results if result.decision == "treatment"]
        return max(won, key=lambda result: result.difference or 0.0, default=None)

    @property
    def reason_to_stop(self) -> str | None:
        """Why the stop rule ends the experiment: a broken guardrail, or a verdict on every treatment; else None.

        A sample-ratio alarm blocks the verdict and leaves the experiment as it is, for somebody to find out why.
        """
        broken = [result.reason for result in self.results if result.decision == "guardrail_broken"]
        if broken:
            return "; ".join(broken)
        if all(result.decision in _VERDICTS for result in self.results):
            return "; ".join(result.reason for result in self.results)
        return None

    def plot(self) -> bytes:
        """PNG of the effect by day with its confidence sequence."""
        curves = {
            result.treatment: EffectCurve(
                days=[look.day + 1 for look in result.looks],
                differences=[look.difference for look in result.looks],
                intervals=[look.interval for look in result.looks],
            )
            for result in self.results
        }
        return effect_by_day(self.results[0].metric, curves, self.definition.min_effect_size)
