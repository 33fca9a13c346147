"""Every check of every asset, from the data to the champion: Dagster runs them with the assets, the command alone."""

from recommender_assets.features.feature_checks import FEATURES_CHECKS
from recommender_assets.features.matrix_checks import MATRIX_CHECKS
from recommender_assets.ingestion.interactions_checks import INTERACTIONS_CHECKS
from recommender_assets.ingestion.served_lists_checks import LOG_CHECKS
from recommender_assets.promotion.champion_checks import CHAMPION_CHECKS
from recommender_assets.promotion.evaluation_checks import EVALUATION_CHECKS
from recommender_assets.promotion.model_checks import MODEL_CHECKS

CHECKS = (
    *INTERACTIONS_CHECKS,
    *MATRIX_CHECKS,
    *FEATURES_CHECKS,
    *MODEL_CHECKS,
    *EVALUATION_CHECKS,
    *CHAMPION_CHECKS,
    *LOG_CHECKS,
)
"""In the order in which data flow."""
