"""Facts about the latest evaluation."""

from recommender_assets.fact import Outcome, check
from recommender_assets.promotion.contest import load_contest
from recommender_assets.promotion.leakage import leaks
from recommender_assets.promotion.policy import decide
from recommender_assets.settings import Settings

REPORT = "evaluation_report"


@check(REPORT, blocking=True)
def no_contender_trained_on_the_hold_out(settings: Settings) -> Outcome:
    """The manifest of every contender leaves at least the pairs of this hold-out out of its training."""
    contest = load_contest(settings.root)
    problems = leaks(settings.root, contest)
    figures = {"hold_out_share": contest.hold_out_share, "hold_out_pairs": contest.hold_out}
    return Outcome(not problems, "; ".join(problems), figures)


@check(REPORT)
def evaluation_beats_floors(settings: Settings) -> Outcome:
    """At least one candidate beats every floor of the primary metric and of the guardrails, and keeps every limit.

    Not blocking: the promotion policy refuses what is below its floors, and the refusal is written down.
    """
    decision = decide(load_contest(settings.root).without_champion(), settings.promotion)
    said = {verdict.version: "; ".join(verdict.objections) or "beats its floors" for verdict in decision.verdicts}
    return Outcome(decision.promoted, decision.reason, said)


EVALUATION_CHECKS = (no_contender_trained_on_the_hold_out, evaluation_beats_floors)
