"""The three jobs that sensors and people launch."""

import dagster as dg

from recommender_assets.defs.resources import end_mlflow_run

INGESTS = {"recommender/ingests": "true"}
TRAINS = {"recommender/trains": "true"}

INGESTION = dg.AssetSelection.assets("interactions", "user_profiles", "item_profiles")
TRAINING = dg.AssetSelection.assets(
    "user_item_matrix", "reduced_features", "svd_model", "nmf_model", "evaluation_report", "champion"
)

ingest_job = dg.define_asset_job(
    "ingest_job",
    INGESTION,
    description="Read what is new in the topic and refresh the profiles.",
    tags=INGESTS,
)
train_job = dg.define_asset_job(
    "train_job",
    TRAINING,
    description="Train both models on everything up to the ledger's position, evaluate them, promote the better one.",
    tags=TRAINS,
    hooks={end_mlflow_run},
)
recommendation_job = dg.define_asset_job(
    "recommendation_job",
    INGESTION | TRAINING,
    description="From the topic to the champion: ingestion and training in one run.",
    tags=INGESTS | TRAINS,
    hooks={end_mlflow_run},
)
