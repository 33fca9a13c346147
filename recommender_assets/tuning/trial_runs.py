"""The MLflow side of a search: one run for the study, below it one for every trial."""

from typing import Any

import optuna
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from recommender_assets.promotion.registry import Registry
from recommender_assets.settings import Settings

_RUN_ID = "mlflow_run_id"


class TrialRuns:
    """Writes the trials of a study into MLflow; a study that is continued keeps its run.

    Args:
        settings: name the tracking store and the experiment.
        study: which remembers its run.
        metric: name of the value.
    """

    def __init__(self, settings: Settings, study: optuna.Study, metric: str) -> None:
        registry = Registry(settings)
        self._client, self._experiment_id, self._metric = registry.client, registry.experiment_id, metric
        self.run_id = self._run_of(study)

    def log(self, trial: optuna.trial.FrozenTrial, hyper_parameters: dict[str, Any]) -> None:
        """Log a trial that has ended; one that diverged has a failed run without a value."""
        run_id = self._client.create_run(
            self._experiment_id, tags={"mlflow.parentRunId": self.run_id}, run_name=f"trial {trial.number}"
        ).info.run_id
        seconds = trial.duration.total_seconds() if trial.duration else 0.0
        values = {"seconds": seconds} | ({self._metric: trial.value} if trial.value is not None else {})
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, 0, 0) for name, value in values.items()],
            params=[Param(name, str(value)) for name, value in hyper_parameters.items()],
        )
        self._client.set_terminated(run_id, "FINISHED" if trial.value is not None else "FAILED")

    def finish(self, snippet: str) -> None:
        """Keep the result with the study's run and end it."""
        self._client.log_text(self.run_id, snippet, "config.yaml")
        self._client.set_terminated(self.run_id)

    def _run_of(self, study: optuna.Study) -> str:
        run_id: str | None = study.user_attrs.get(_RUN_ID)
        if run_id is not None:
            try:
                self._client.update_run(run_id, "RUNNING")
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                return run_id
        run_id = str(self._client.create_run(self._experiment_id, run_name=f"tune {study.study_name}").info.run_id)
        study.set_user_attr(_RUN_ID, run_id)
        return run_id
