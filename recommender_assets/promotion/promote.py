"""From the contest to the champion: decide, publish, register, write down."""

from typing import NamedTuple

from recommender_assets.promotion.champion_lock import champion_lock
from recommender_assets.promotion.contest import Contest, load_contest
from recommender_assets.promotion.decisions import (
    DecisionRow,
    append_decision,
    read_decisions,
    rolled_back,
    row_of_contest,
)
from recommender_assets.promotion.policy import Decision, decide
from recommender_assets.promotion.publication import publish, remove_old_models
from recommender_assets.promotion.registry import Registry
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer


class StaleContestError(RuntimeError):
    """The champion changed after the contest, so the contest says nothing about it."""


class Promotion(NamedTuple):
    """A decision, the figures it rests on, its row in the table, and the pointer that is in force after it."""

    decision: Decision
    contest: Contest
    row: DecisionRow
    pointer: ChampionPointer | None


def promote(settings: Settings) -> Promotion:
    """Put the policy's decision on the latest contest into effect.

    The pointer is the truth and comes before the MLflow aliases; should this end half-way, a repetition finds the
    candidate already champion and completes the rest.

    Raises:
        StaleContestError: the champion is none of the contenders.
    """
    root = settings.root
    with champion_lock(root):
        contest = load_contest(root)
        _require_current(settings, contest)
        decision = decide(contest, settings.promotion, rolled_back(read_decisions(root)))
        pointer = publish(root, decision)
        row = row_of_contest(contest, decision, settings.promotion.metric, pointer)
        Registry(settings).record_decision(contest.candidates, decision, row.decision_id)
        append_decision(root, row)
        remove_old_models(root, pointer)
    return Promotion(decision, contest, row, pointer)


def _require_current(settings: Settings, contest: Contest) -> None:
    pointer = read_pointer(settings.root)
    judged = {contest.champion_version, *(standing.version for standing in contest.candidates)}
    if pointer and pointer.version not in judged:
        raise StaleContestError(
            f"champion {pointer.version} was not measured in the latest evaluation: materialise evaluation_report first"
        )
