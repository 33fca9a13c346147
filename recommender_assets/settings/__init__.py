"""Settings of the offline half: one typed struct per section of `config.yaml`."""

from recommender_assets.settings.configuration import Settings, load_settings
from recommender_assets.settings.history import CatalogueSettings, HistoryColumns, HistorySettings
from recommender_assets.settings.ingestion import IngestionSettings, MaintenanceSettings
from recommender_assets.settings.models import ModelsSettings, NmfSettings, SvdSettings
from recommender_assets.settings.operation import ChecksSettings, DagsterSettings, MlflowSettings, MonitoringSettings
from recommender_assets.settings.promotion import LiveGuardrailSettings, PromotionSettings
from recommender_assets.settings.spark import SparkSettings
from recommender_assets.settings.training import EvaluationSettings, FeaturesSettings, TrainingSettings

__all__ = (
    "CatalogueSettings",
    "ChecksSettings",
    "DagsterSettings",
    "EvaluationSettings",
    "FeaturesSettings",
    "HistoryColumns",
    "HistorySettings",
    "IngestionSettings",
    "LiveGuardrailSettings",
    "MaintenanceSettings",
    "MlflowSettings",
    "ModelsSettings",
    "MonitoringSettings",
    "NmfSettings",
    "PromotionSettings",
    "Settings",
    "SparkSettings",
    "SvdSettings",
    "TrainingSettings",
    "load_settings",
)
