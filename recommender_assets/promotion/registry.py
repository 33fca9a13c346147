"""The MLflow side of a candidate's life after its training: its figures, its registered version, its aliases."""

import time
from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from recommender_assets.promotion.policy import Decision, Verdict
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import Settings

REGISTERED_MODELS = {"svd": "Recommendation_SVD", "nmf": "Recommendation_NMF"}
PRODUCTION = "production"
STAGING = "staging"
MODEL_ARTIFACT = "model"
VERSION_TAG = "recommender.model_version"
_DESCRIBED = ("rmse", "catalogue_ndcg_at_10", "train_rmse")
DESCRIPTION = """Recommendations by {algorithm}: a rating head predicts stars, a ranking head orders the catalogue.

`production` is the champion, `staging` the newest candidate that is not. In Python, with this project installed:
`mlflow.pyfunc.load_model("models:/{name}@production").predict(pandas.DataFrame({{"user_id": ["42"]}}))`."""


class Registry:
    """Runs and registered models of one MLflow experiment.

    Args:
        settings: names the tracking store and the experiment. A sqlite store keeps artefacts beside its file; a server
            decides by itself.
    """

    def __init__(self, settings: Settings) -> None:
        uri = settings.mlflow_tracking_uri
        artifacts = None
        if uri.startswith("sqlite:"):
            folder = settings.root / "mlflow"
            folder.mkdir(parents=True, exist_ok=True)
            artifacts = (folder / "artifacts").as_uri()
        self.client = MlflowClient(uri, uri)
        experiment = self.client.get_experiment_by_name(settings.mlflow.experiment)
        self.experiment_id: str = (
            experiment.experiment_id
            if experiment
            else self.client.create_experiment(settings.mlflow.experiment, artifact_location=artifacts)
        )

    def log_standing(self, standing: Standing) -> None:
        """Log a candidate's figures on the hold-out into its run, with their floors and the ends of their intervals."""
        now = time.time_ns() // 1_000_000
        floors = {
            f"floor.{metric}.{name}": value
            for metric, values in standing.floors.items()
            for name, value in values.items()
        }
        ends = {
            f"interval.{metric}.{end}": value
            for metric, interval in standing.intervals.items()
            for end, value in zip(("low", "high"), interval, strict=True)
        }
        metrics = [Metric(name, value, now, 0) for name, value in (standing.metrics | floors | ends).items()]
        self.client.log_batch(self._run(standing.version).info.run_id, metrics=metrics)

    def log_text(self, version: str, text: str, artifact: str) -> None:
        """Keep a text as an artefact of a candidate's run."""
        self.client.log_text(self._run(version).info.run_id, text, artifact)

    def record_decision(self, standings: Sequence[Standing], decision: Decision, decision_id: str) -> None:
        """Register the candidates, tag them with the decision and its numbers, and move the aliases.

        `production` is on the champion, nowhere else; `staging` on the newest candidate of each registered model, if it
        did not become champion. Idempotent: a repetition finds the registered versions by their tag.
        """
        verdicts = {verdict.version: verdict for verdict in decision.verdicts}
        for standing in standings:
            name = REGISTERED_MODELS[standing.algorithm]
            number = self._registered(name, standing.version)
            verdict = verdicts[standing.version]
            tags = {
                "decision": "promoted" if decision.champion == standing.version else "staging",
                "decision_id": decision_id,
                "reason": _reason(decision, verdict),
            } | {metric: f"{value:.6f}" for metric, value in standing.metrics.items()}
            for key, value in tags.items():
                self.client.set_model_version_tag(name, number, key, value)
            if decision.champion == standing.version:
                self.client.delete_registered_model_alias(name, STAGING)
            else:
                self.client.set_registered_model_alias(name, STAGING, number)
        if decision.champion:
            self.set_production(decision.champion)

    def record_rollback(self, champion: str, predecessor: str, reason: str, decision_id: str) -> None:
        """Put `production` back on a version, and say on the one before why it lost it."""
        for name in REGISTERED_MODELS.values():
            if found := self._find(name, predecessor):
                tags = {"decision": "rolled back", "reason": reason, "decision_id": decision_id}
                for key, value in tags.items():
                    self.client.set_model_version_tag(name, found.version, key, value)
        self.set_production(champion)

    def production(self) -> list[str]:
        """Versions that carry the alias `production`: one, unless something is wrong."""
        found = []
        for name in REGISTERED_MODELS.values():
            number = self.client.get_registered_model(name).aliases.get(PRODUCTION) if self._exists(name) else None
            if number is not None:
                tags = self.client.get_model_version(name, number).tags
                found.append(tags.get(VERSION_TAG, f"{name} version {number}"))
        return found

    def set_production(self, version: str) -> None:
        """Put the alias `production` on a registered model version and take it from every other.

        A version in production is not in staging any more.
        """
        for name in REGISTERED_MODELS.values():
            found = self._find(name, version)
            if found:
                self.client.set_registered_model_alias(name, PRODUCTION, found.version)
                if self.client.get_registered_model(name).aliases.get(STAGING) == found.version:
                    self.client.delete_registered_model_alias(name, STAGING)
            elif self._exists(name):
                self.client.delete_registered_model_alias(name, PRODUCTION)

    def _run(self, version: str) -> Run:
        runs = self.client.search_runs([self.experiment_id], f"tags.`{VERSION_TAG}` = '{version}'", max_results=1)
        if not runs:
            raise LookupError(f"MLflow has no run of model {version}")
        return runs[0]

    def _registered(self, name: str, version: str) -> str:
        if not self._exists(name):
            description = DESCRIPTION.format(algorithm=version.partition("-")[0].upper(), name=name)
            self.client.create_registered_model(name, description=description)
        found = self._find(name, version)
        if found is None:
            run = self._run(version)
            source = f"{run.info.artifact_uri}/{MODEL_ARTIFACT}"
            tags, description = {VERSION_TAG: version}, _description(version, run)
            found = self.client.create_model_version(name, source, run.info.run_id, tags, description=description)
        return str(found.version)

    def _find(self, name: str, version: str) -> ModelVersion | None:
        found = self.client.search_model_versions(f"name = '{name}' and tags.`{VERSION_TAG}` = '{version}'")
        return found[0] if found else None

    def _exists(self, name: str) -> bool:
        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True


def _reason(decision: Decision, verdict: Verdict) -> str:
    if verdict.objections:
        return "; ".join(verdict.objections)
    return decision.reason if decision.champion == verdict.version else f"{decision.champion} is better"


def _description(version: str, run: Run) -> str:
    figures = ", ".join(f"{name} {run.data.metrics[name]:.4f}" for name in _DESCRIBED if name in run.data.metrics)
    rows = run.data.tags.get("recommender.next_offsets", "")
    return f"{version}: {figures or 'not evaluated'}" + (f"; up to offsets {rows}" if rows else "")
