"""All sections together, as `config.yaml` has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from recommender_assets.settings.history import HistorySettings
from recommender_assets.settings.ingestion import IngestionSettings, MaintenanceSettings
from recommender_assets.settings.models import ModelsSettings
from recommender_assets.settings.operation import ChecksSettings, DagsterSettings, MlflowSettings, MonitoringSettings
from recommender_assets.settings.promotion import PromotionSettings
from recommender_assets.settings.spark import SparkSettings
from recommender_assets.settings.training import EvaluationSettings, FeaturesSettings, TrainingSettings
from recommender_serving.engine.config import (
    ApiSettings,
    ConfigError,
    EventWeights,
    RatingScale,
    RecommendationLogSettings,
    StorageSettings,
    StreamingSettings,
    convert_value,
    read_config,
    recommendation_log_section,
    section,
)
from recommender_serving.engine.experiment_definition import ExperimentDefinition


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the offline half reads from `config.yaml`, validated."""

    storage: StorageSettings
    ratings: RatingScale
    weights: EventWeights
    streaming: StreamingSettings
    spark: SparkSettings
    history: HistorySettings
    ingestion: IngestionSettings = IngestionSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    models: ModelsSettings
    training: TrainingSettings
    features: FeaturesSettings
    evaluation: EvaluationSettings
    promotion: PromotionSettings
    checks: ChecksSettings = ChecksSettings()
    experiments: dict[str, ExperimentDefinition] = {}
    recommendation_log: RecommendationLogSettings = RecommendationLogSettings()
    mlflow: MlflowSettings
    dagster: DagsterSettings
    monitoring: MonitoringSettings = MonitoringSettings()
    api: ApiSettings = ApiSettings()

    @property
    def root(self) -> Path:
        """Folder (absolute) below which tables, models and the champion live."""
        return Path(self.storage.root).absolute()

    @property
    def dagster_address(self) -> str:
        """Where Dagster's web server answers."""
        return self.monitoring.dagster_address or f"http://127.0.0.1:{self.dagster.port}"

    @property
    def service_addresses(self) -> tuple[str, ...]:
        """Where the replicas of the service answer."""
        host = "127.0.0.1" if self.api.host == "0.0.0.0" else self.api.host  # noqa: S104 - listens everywhere
        return self.promotion.live_guardrails.services or (f"http://{host}:{self.api.port}",)

    @property
    def mlflow_tracking_uri(self) -> str:
        """Where MLflow keeps runs and registered models."""
        return self.mlflow.tracking_uri or f"sqlite:///{self.root}/mlflow/mlflow.db"


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate `config.yaml` with its `RECOMMENDER__SECTION__KEY` overrides.

    Raises:
        ConfigError: naming the key's path, the value and what was expected.
    """
    config = read_config(path, environ)
    return Settings(
        storage=section(config, "storage", StorageSettings),
        ratings=section(config, "ratings", RatingScale),
        weights=section(config, "events.weights", EventWeights),
        streaming=section(config, "streaming", StreamingSettings),
        spark=section(config, "spark", SparkSettings),
        history=section(config, "history", HistorySettings),
        ingestion=section(config, "ingestion", IngestionSettings),
        maintenance=section(config, "maintenance", MaintenanceSettings),
        models=section(config, "models", ModelsSettings),
        training=section(config, "training", TrainingSettings),
        features=section(config, "features", FeaturesSettings),
        evaluation=section(config, "evaluation", EvaluationSettings),
        promotion=section(config, "promotion", PromotionSettings),
        api=section(config, "api", ApiSettings),
        checks=section(config, "checks", ChecksSettings),
        experiments=_experiments(config),
        recommendation_log=recommendation_log_section(config),
        mlflow=section(config, "mlflow", MlflowSettings),
        dagster=section(config, "dagster", DagsterSettings),
        monitoring=section(config, "monitoring", MonitoringSettings),
    )


def _experiments(config: Mapping[str, Any]) -> dict[str, ExperimentDefinition]:
    """Section `experiments`: name -> definition. Writing one down does not start it."""
    definitions = {}
    for name, fields in (config.get("experiments") or {}).items():
        path = f"experiments.{name}"
        if not isinstance(fields, dict):
            raise ConfigError(f"{path}: expected a mapping, got {fields!r}")
        if "name" in fields:
            raise ConfigError(f"{path}.name: unknown key, {name!r} is the experiment's name")
        definitions[str(name)] = convert_value({**fields, "name": str(name)}, path, ExperimentDefinition)
    return definitions
