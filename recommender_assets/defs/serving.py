"""What is downstream of the champion, outside Dagster."""

import dagster as dg

from recommender_assets.defs.champion.assets import champion
from recommender_assets.defs.owners import OWNERS

recommendation_service = dg.AssetSpec(
    "recommendation_service",
    deps=[champion],
    description="The HTTP service: it follows the champion within seconds, and the topic within milliseconds.",
    group_name="serving",
    owners=OWNERS,
    kinds={"python", "litestar"},
)
