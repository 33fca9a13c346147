"""A training that yields nothing better than a constant or the popular list stops before the champion."""

import dagster as dg

from recommender_assets.defs.evaluation.assets import evaluation_report
from recommender_assets.settings import Settings


@dg.asset_check(asset=evaluation_report, blocking=True)
def evaluation_beats_floors(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """At least one candidate beats every floor of the primary metric and of the guardrail."""
    from recommender_assets.promotion.contest import load_contest
    from recommender_assets.promotion.policy import decide

    decision = decide(load_contest(settings.root).candidates, None, settings.promotion)
    objections = {verdict.version: "; ".join(verdict.objections) or "beats its floors" for verdict in decision.verdicts}
    return dg.AssetCheckResult(passed=decision.promoted, description=decision.reason, metadata=objections)
