"""The job that puts an earlier champion back."""

from typing import Any

import dagster as dg

from recommender_assets.settings import Settings


class RollbackConfig(dg.Config):
    """What to go back to, and why.

    Attributes:
        to: published version; empty = the champion's predecessor.
        reason: for the table `promotion_decisions`.
        broken_guardrail_of: set by the live guardrails: go back only if this version is the champion still.
    """

    to: str = ""
    reason: str = ""
    broken_guardrail_of: str = ""


ROLL_BACK_OP = "roll_back_champion"


@dg.op(name=ROLL_BACK_OP)
def roll_back_champion(
    context: dg.OpExecutionContext, config: RollbackConfig, settings: dg.ResourceParam[Settings]
) -> None:
    """Pointer, table of decisions and MLflow's aliases go back to an earlier version; services follow the pointer."""
    from recommender_assets.presentation.decision_history import decision_history
    from recommender_assets.promotion.decisions import read_decisions
    from recommender_assets.promotion.rollback import roll_back

    done = roll_back(
        settings,
        config.to or None,
        config.reason,
        kind="live_rollback" if config.broken_guardrail_of else "rollback",
        from_version=config.broken_guardrail_of or None,
    )
    if done.registry_problem:
        context.log.error("%s; the next decision moves its aliases", done.registry_problem)
    metadata: dict[str, Any] = {
        "champion": done.pointer.version,
        "predecessor": done.row.predecessor,
        "deployed": dg.MetadataValue.json(done.pointer.deployed),
        "reason": done.pointer.reason,
        "decision_id": done.row.decision_id,
        "history": dg.MetadataValue.md(decision_history(read_decisions(settings.root), settings.promotion.metric)),
    }
    context.log_event(dg.AssetMaterialization("champion", metadata=metadata))


@dg.job(tags={"dagster/priority": "100"})
def rollback_job() -> None:
    """Put an earlier champion back into service (config: `to`, `reason`)."""
    roll_back_champion()
