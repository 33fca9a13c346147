"""The jobs that sensors, schedules and people launch."""

import dagster as dg

from recommender_assets.automation.checks import CHECKS
from recommender_assets.defs.resources import end_mlflow_run

INGESTS = {"recommender/ingests": "true"}
TRAINS = {"recommender/trains": "true"}
RETRIED_WHOLE = {"dagster/retry_strategy": "ALL_STEPS"}  # of a run whose process died

OBSERVATIONS = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(dg.AssetKey(c.asset), c.name) for c in CHECKS if c.asset == "interactions" and not c.blocking)
)
"""What no run waits for, and what can fail without any run: that events stopped coming, or are not as they were."""
INGESTION = dg.AssetSelection.assets("interactions", "user_profiles", "item_profiles") - OBSERVATIONS
TRAINING = dg.AssetSelection.assets(
    "user_item_matrix", "reduced_features", "svd_model", "nmf_model", "evaluation_report", "champion"
)

ingest_job = dg.define_asset_job(
    "ingest_job",
    INGESTION,
    description="Read what is new in the topic and refresh the profiles.",
    tags=INGESTS | RETRIED_WHOLE,
)
train_job = dg.define_asset_job(
    "train_job",
    TRAINING,
    description="Train both models on everything up to the ledger's position, evaluate them, promote the better one.",
    tags=TRAINS | RETRIED_WHOLE,
    hooks={end_mlflow_run},
)
recommendation_job = dg.define_asset_job(
    "recommendation_job",
    INGESTION | TRAINING,
    description="From the topic to the champion: ingestion and training in one run.",
    tags=INGESTS | TRAINS | RETRIED_WHOLE,
    hooks={end_mlflow_run},
)
backfill_job = dg.define_asset_job(
    "backfill_job",
    dg.AssetSelection.assets("interaction_history", "items"),
    description="Import months of the past, and the catalogue; a range of months is one run.",
    tags=RETRIED_WHOLE,
)
check_job = dg.define_asset_job(
    "check_job",
    OBSERVATIONS,
    description="Look whether events still come, as many and of the kind as before.",
)
