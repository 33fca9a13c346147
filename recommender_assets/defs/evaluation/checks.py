"""What must be true of an evaluation before its figures say anything."""

import dagster as dg

from recommender_assets.defs.evaluation.assets import evaluation_report
from recommender_assets.settings import Settings


@dg.asset_check(asset=evaluation_report, blocking=True)
def no_contender_trained_on_the_hold_out(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The manifest of every contender leaves at least the pairs of this hold-out out of its training."""
    from recommender_assets.promotion.contest import load_contest
    from recommender_assets.promotion.leakage import leaks

    contest = load_contest(settings.root)
    problems = leaks(settings.root, contest)
    return dg.AssetCheckResult(
        passed=not problems,
        description="; ".join(problems) or None,
        metadata={"hold_out_share": contest.hold_out_share, "hold_out_pairs": contest.hold_out},
    )


@dg.asset_check(asset=evaluation_report)
def evaluation_beats_floors(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """At least one candidate beats every floor of the primary metric and of the guardrails, and keeps every limit.

    Not blocking: the policy refuses what is below its floors, and the refusal is written down.
    """
    from recommender_assets.promotion.contest import load_contest
    from recommender_assets.promotion.policy import decide

    decision = decide(load_contest(settings.root).without_champion(), settings.promotion)
    objections = {verdict.version: "; ".join(verdict.objections) or "beats its floors" for verdict in decision.verdicts}
    return dg.AssetCheckResult(passed=decision.promoted, description=decision.reason, metadata=objections)
