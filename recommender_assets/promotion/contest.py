"""The candidates and the champion on the same hold-out, and the record of every decision."""

import datetime as dt
from pathlib import Path

import msgspec

from recommender_assets.evaluation.interval import Interval
from recommender_assets.promotion.policy import Decision, Standing
from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.champion_pointer import champion_directory
from recommender_serving.engine.factor_model import Position


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of `left` minus those of `right`, paired by user on the same hold-out, with their intervals."""

    left: str
    right: str
    metrics: dict[str, Interval]


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of all contenders on one hold-out.

    Attributes:
        position: up to where the hold-out's data reach.
        interactions: (user, item) pairs that were learned from or held out.
        hold_out: (user, item) pairs held out.
        candidates: the newly trained models.
        champion: the current champion on the same hold-out, None if there is none.
        protocols: what each metric measures.
        differences: every contender against every later one, candidates first.
    """

    position: Position
    interactions: int = 0
    hold_out: int
    candidates: tuple[Standing, ...]
    champion: Standing | None
    protocols: dict[str, str] = {}
    differences: tuple[Difference, ...] = ()

    @property
    def contenders(self) -> tuple[Standing, ...]:
        """The candidates, then the champion if it is another model."""
        known = {candidate.version for candidate in self.candidates}
        return (
            (*self.candidates, self.champion)
            if self.champion and self.champion.version not in known
            else self.candidates
        )


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision together with the figures it rests on."""

    decided_at: str
    decision: Decision
    contest: Contest


def save_contest(root: Path, contest: Contest) -> Path:
    """Keep the contest for the promotion step; replaces the previous one atomically."""
    path = root / "evaluation" / "contest.json"
    replace_file(path, msgspec.json.format(msgspec.json.encode(contest), indent=2) + b"\n")
    return path


def load_contest(root: Path) -> Contest:
    """Read the latest contest.

    Raises:
        FileNotFoundError: nothing was evaluated yet.
    """
    return msgspec.json.decode((root / "evaluation" / "contest.json").read_bytes(), type=Contest)


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
