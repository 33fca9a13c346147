"""When the models should be trained again: pure decisions on counts of new interactions and earlier requests."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from recommender_assets.automation.backoff import Attempts


class Retraining(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a tick: requests made so far, and why no run is wanted (None if one is)."""

    attempts: Attempts
    skip: str | None


def read_attempts(cursor: str | None) -> Attempts:
    """Decode the sensor's cursor; a missing or foreign one starts afresh."""
    try:
        return msgspec.json.decode(cursor or "{}", type=Attempts)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Attempts()


def accepted_since(ledger: Iterable[Mapping[str, Any]], topic_id: str, next_offsets: Mapping[str, int]) -> int:
    """Interactions that the ledger accepted after a position; all of them if the position is of another topic.

    Args:
        ledger: rows of `ingestion_ledger` with topic_id, kafka_partition, from_offset and accepted.
        topic_id: topic of the position, empty if no topic had been read.
        next_offsets: the position, next offset by partition.
    """
    return sum(
        int(row["accepted"])
        for row in ledger
        if row["topic_id"] != topic_id or int(row["from_offset"]) >= next_offsets.get(str(row["kafka_partition"]), 0)
    )


def decide_retraining(
    new_interactions: int, threshold: int, decided_at: str | None, attempts: Attempts, now: float
) -> Retraining:
    """Decide whether to train now.

    Args:
        new_interactions: accepted since the position of the latest promotion decision.
        threshold: `training.retrain_after_interactions`.
        decided_at: that position, None if there never was a decision; then any interaction is enough.
        attempts: requests so far. Training that fails leaves the position where it is, so the pauses grow.
        now: seconds since the epoch.
    """
    needed = threshold if decided_at is not None else 1
    if new_interactions < needed:
        return Retraining(attempts=attempts, skip=f"{new_interactions} of {needed} new interactions")
    mark = decided_at or "no decision yet"
    wait = attempts.wait(mark, now)
    if wait > 0:
        reason = f"{attempts.count} request(s) led to no decision: next one in {wait:.0f} s"
        return Retraining(attempts=attempts, skip=reason)
    return Retraining(attempts=attempts.requested(mark, now), skip=None)
