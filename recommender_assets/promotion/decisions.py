"""The record of every promotion decision."""

import datetime as dt
from pathlib import Path

import msgspec

from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.policy import Decision
from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.champion_pointer import champion_directory


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision together with the figures it rests on."""

    decided_at: str
    decision: Decision
    contest: Contest


def record_decision(root: Path, contest: Contest, decision: Decision) -> Path:
    """Write the decision down with all its numbers: one file per decision in `champion/decisions/`."""
    decided_at = dt.datetime.now(dt.UTC)
    record = DecisionRecord(
        decided_at=decided_at.isoformat(timespec="microseconds"), decision=decision, contest=contest
    )
    path = _decisions(root) / f"{decided_at:%Y%m%dT%H%M%S.%fZ}.json"
    replace_file(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    return path


def latest_decision(root: Path) -> DecisionRecord | None:
    """The newest decision, None if there is none."""
    newest = max(_decisions(root).glob("[0-9]*.json"), default=None)
    return msgspec.json.decode(newest.read_bytes(), type=DecisionRecord) if newest else None


def _decisions(root: Path) -> Path:
    return champion_directory(root) / "decisions"
