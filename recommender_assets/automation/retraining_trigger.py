"""When the models should be trained again: pure decisions on counts of new interactions and earlier requests."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.imported_history import imported_history, rows_at_version
from recommender_assets.automation.ledger_news import SeenLedger, ledger_news
from recommender_assets.settings import TrainingSettings

IMPORT_SETTLES_SECONDS = 60.0
"""How long an import must be over before it counts: further months or the first events may follow at once."""


class LatestDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What retraining needs of the latest promotion decision.

    Attributes:
        decided_at: RFC 3339 time.
        topic_id: topic of its position, empty if none had been read.
        next_offsets: its position, next offset by partition.
        history_version: its position, version of the table `interaction_history`; None if there was none.
        interactions: (user, item) pairs that were learned from.
    """

    decided_at: str
    topic_id: str = ""
    next_offsets: dict[str, int] = {}
    history_version: int | None = None
    interactions: int = 0


class RetrainingCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What the sensor remembers between ticks.

    Attributes:
        attempts: requests made so far.
        decided_at: the decision that `accepted` and `imported` count from, empty if there was none.
        ledger: how much of the ledger is counted.
        accepted: interactions accepted after the decision's position.
        learned: rows of the imported history that the decision's models have learned from.
        imported: rows that it has beyond them.
        imported_at: when the latest import ended, seconds since the epoch.
    """

    attempts: Attempts = Attempts()
    decided_at: str = ""
    ledger: SeenLedger = SeenLedger()
    accepted: int = 0
    learned: int = 0
    imported: int = 0
    imported_at: float = 0.0


class Retraining(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a tick: the new cursor, and why a run is wanted (`reason`) or not (`skip`)."""

    cursor: RetrainingCursor
    skip: str | None
    reason: str = ""


def follow_data(root: Path, topic: str, latest: LatestDecision | None, cursor: RetrainingCursor) -> RetrainingCursor:
    """The cursor with what was accepted and imported since the latest decision.

    The whole ledger is read once for each decision, after that only its new rows; of the history only the log is read.
    """
    is_counted = cursor.decided_at == (latest.decided_at if latest else "")
    cursor = _follow_history(root, latest, cursor, is_counted=is_counted)
    return _follow_ledger(root, topic, latest, cursor, is_counted=is_counted)


def _follow_history(
    root: Path, latest: LatestDecision | None, cursor: RetrainingCursor, *, is_counted: bool
) -> RetrainingCursor:
    history = imported_history(root)
    rows, ended_at = (history.rows, history.committed_at) if history else (0, 0.0)
    learned = cursor.learned if is_counted else rows_at_version(root, latest.history_version if latest else None)
    if learned is None:  # too long ago to tell
        learned = rows
    imported = max(rows - learned, 0)
    return msgspec.structs.replace(cursor, learned=learned, imported=imported, imported_at=ended_at)


def _follow_ledger(
    root: Path, topic: str, latest: LatestDecision | None, cursor: RetrainingCursor, *, is_counted: bool
) -> RetrainingCursor:
    decided_at = latest.decided_at if latest else ""
    news = ledger_news(root, topic, cursor.ledger if is_counted else SeenLedger())
    if not news.is_whole:
        accepted = cursor.accepted + sum(news.rows["accepted"].to_pylist())
    else:
        position = (latest.topic_id, latest.next_offsets) if latest else ("", {})
        accepted = accepted_since(news.rows, *position)
    return msgspec.structs.replace(cursor, decided_at=decided_at, ledger=news.seen, accepted=accepted)


def accepted_since(ledger: pa.Table, topic_id: str, next_offsets: Mapping[str, int]) -> int:
    """Interactions that the ledger accepted after a position.

    A topic that was created anew follows the one before it: its rows count if they come after the position's last row,
    so that those of the topic before do not count once more.

    Args:
        ledger: rows in the order in which they were written, with topic_id, kafka_partition, to_offset and accepted.
        topic_id: topic of the position; if the ledger has no row of it, all rows count.
        next_offsets: the position, next offset by partition.
    """
    accepted, is_after = 0, topic_id not in ledger["topic_id"].to_pylist()
    for row in ledger.select(["topic_id", "kafka_partition", "to_offset", "accepted"]).to_pylist():
        if row["topic_id"] == topic_id:
            is_after = True
            counts = row["to_offset"] > next_offsets.get(str(row["kafka_partition"]), 0)
        else:
            counts = is_after
        accepted += int(row["accepted"]) if counts else 0
    return accepted


def decide_retraining(
    cursor: RetrainingCursor, latest: LatestDecision | None, rules: TrainingSettings, now: float
) -> Retraining:
    """Decide whether to train now.

    Imported interactions count as accepted ones do, once their import is over. Without any decision yet, as after a
    failed first run, one interaction is enough. Training that fails leaves the decision where it is: the pauses grow,
    and after `retrain_attempts` requests it waits for a person, whose run of `train_job` makes a decision. A burst of
    events is one run, since all of them lie before its decision's position.

    Args:
        cursor: brought up to date by `follow_data`.
        latest: the latest promotion decision, None if there never was one.
        rules: section `training` of the configuration.
        now: seconds since the epoch.
    """
    settles = cursor.imported_at + IMPORT_SETTLES_SECONDS - now if cursor.imported else 0.0
    new = cursor.accepted + (cursor.imported if settles <= 0 else 0)
    reason = _rule_that_holds(new, latest, rules, now)
    if reason is None:
        skip = _progress(new, latest, rules, now)
        if settles > 0:
            counts = f"they count in {settles:.0f} s unless more follow"
            skip = f"{cursor.imported} interactions were imported: {counts}; {skip}"
        return Retraining(cursor=cursor, skip=skip)
    mark = cursor.decided_at or "no decision yet"
    attempts = cursor.attempts
    if attempts.mark == mark and attempts.count >= rules.retrain_attempts:
        skip = f"{attempts.count} runs led to no decision: waits for a person to look, and to train by hand"
        return Retraining(cursor=cursor, skip=skip)
    if (wait := attempts.wait(mark, now)) > 0:
        skip = f"{attempts.count} request(s) led to no decision: next one in {wait:.0f} s"
        return Retraining(cursor=cursor, skip=skip)
    requested = msgspec.structs.replace(cursor, attempts=attempts.requested(mark, now))
    return Retraining(cursor=requested, skip=None, reason=reason)


def _rule_that_holds(new: int, latest: LatestDecision | None, rules: TrainingSettings, now: float) -> str | None:
    if new == 0:
        return None
    if latest is None:
        return f"{new} interactions and no promotion decision yet"
    if rules.retrain_after_interactions and new >= rules.retrain_after_interactions:
        return f"{new} new interactions, retrain_after_interactions is {rules.retrain_after_interactions}"
    share = new / max(latest.interactions, 1)
    if rules.retrain_after_share and share >= rules.retrain_after_share:
        return f"{new} new interactions are {share:.1%} of the training set"
    age = _age(latest, now)
    if rules.retrain_after_seconds and age >= rules.retrain_after_seconds:
        return f"the latest decision is {age:.0f} s old, and {new} interactions are new"
    return None


def _progress(new: int, latest: LatestDecision | None, rules: TrainingSettings, now: float) -> str:
    if new == 0 or latest is None:
        return "no new interactions"
    needs = []
    if rules.retrain_after_interactions:
        needs.append(f"{new} of {rules.retrain_after_interactions} new interactions")
    if rules.retrain_after_share:
        share = new / max(latest.interactions, 1)
        needs.append(f"{share:.1%} of the training set is new, {rules.retrain_after_share:.1%} is needed")
    if rules.retrain_after_seconds:
        needs.append(f"latest decision {_age(latest, now):.0f} of {rules.retrain_after_seconds:g} s old")
    return "; ".join(needs)


def _age(latest: LatestDecision, now: float) -> float:
    return now - dt.datetime.fromisoformat(latest.decided_at).timestamp()
