"""The model that is served."""

from typing import Any

import dagster as dg

from recommender_assets.defs.conditions import FOLLOWS_AN_EVALUATION
from recommender_assets.defs.evaluation.assets import evaluation_report
from recommender_assets.defs.features.assets import TRAINING_POOL
from recommender_assets.defs.freshness import CHAMPION_IS_FRESH
from recommender_assets.defs.owners import OWNERS
from recommender_assets.defs.resources import end_mlflow_run
from recommender_assets.settings import Settings


@dg.asset(
    deps=[evaluation_report],
    group_name="champion",
    owners=OWNERS,
    automation_condition=FOLLOWS_AN_EVALUATION,
    freshness_policy=CHAMPION_IS_FRESH,
    kinds={"python", "mlflow"},
    pool=TRAINING_POOL,
    hooks={end_mlflow_run},
    code_version="1",
)
def champion(settings: dg.ResourceParam[Settings], mlflow: dg.ResourceParam[Any]) -> dg.MaterializeResult[None]:
    """The served model: a candidate that beat the champion under the promotion policy, else the champion as it was.

    The decision is written down with its numbers here, in the table `promotion_decisions` and in MLflow's tags.
    """
    from recommender_assets.presentation.decision_history import decision_history
    from recommender_assets.presentation.tables import contest_table, decision_table
    from recommender_assets.promotion.decisions import read_decisions
    from recommender_assets.promotion.promote import promote
    from recommender_assets.promotion.registry import REGISTERED_MODELS
    from recommender_assets.promotion.tracking_server import registered_model_address

    promotion = promote(settings)
    decision, pointer = promotion.decision, promotion.pointer
    mlflow.set_tags(
        {
            "champion": decision.champion,
            "promoted": decision.promoted,
            "reason": decision.reason,
            "decision_id": promotion.row.decision_id,
        }
    )
    links = {}
    if decision.champion:
        name = REGISTERED_MODELS[decision.champion.partition("-")[0]]
        links["mlflow_model"] = dg.MetadataValue.url(registered_model_address(settings, name))
    return dg.MaterializeResult(
        metadata={
            **links,
            "promoted": decision.promoted,
            "champion": decision.champion or "none",
            "predecessor": (pointer.predecessor if pointer else None) or "none",
            "deployed": dg.MetadataValue.json(pointer.deployed if pointer else {}),
            "reason": decision.reason,
            "decision": dg.MetadataValue.md(decision_table(decision)),
            "decision_id": promotion.row.decision_id,
            "history": dg.MetadataValue.md(decision_history(read_decisions(settings.root), settings.promotion.metric)),
            "figures": dg.MetadataValue.md(contest_table(promotion.contest.contenders)),
        }
    )
