"""The candidates and the champion, measured on the same hold-out."""

from pathlib import Path
from typing import Self

import msgspec

from recommender_assets.evaluation.interval import Interval
from recommender_assets.promotion.standing import LOWER_IS_BETTER, Standing
from recommender_serving.engine.atomic_files import replace_file
from recommender_serving.engine.factor_model import Position


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of `left` minus those of `right`, paired by user on the same hold-out, with their intervals."""

    left: str
    right: str
    metrics: dict[str, Interval]


class UnfitChampion(msgspec.Struct, frozen=True, kw_only=True):
    """A champion that cannot be measured, and why."""

    version: str
    problem: str


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of all contenders on one hold-out.

    Attributes:
        position: up to where the hold-out's data reach.
        interactions: (user, item) pairs that were learned from or held out.
        hold_out: (user, item) pairs held out.
        hold_out_share: of all pairs; the smallest that any contender left out of its training.
        confidence: of the intervals.
        candidates: the newly trained models.
        champion: the current champion on the same hold-out, None if there is none that can be measured.
        unfit_champion: the current champion if it cannot be measured.
        protocols: what each metric measures.
        differences: every contender against every later one, candidates first.
    """

    position: Position
    interactions: int = 0
    hold_out: int
    hold_out_share: float = 0.1
    confidence: float = 0.95
    candidates: tuple[Standing, ...]
    champion: Standing | None
    unfit_champion: UnfitChampion | None = None
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

    @property
    def champion_version(self) -> str | None:
        """Version of the champion at the time of the contest, measured or not."""
        current = self.champion or self.unfit_champion
        return current.version if current else None

    def gain(self, candidate: str, metric: str) -> Interval | None:
        """Improvement of a candidate on the champion, positive is better; None without an interval over users."""
        if self.champion is None:
            return None
        for difference in self.differences:
            found = difference.metrics.get(metric)
            sides = difference.left, difference.right
            if found is None or set(sides) != {candidate, self.champion.version}:
                continue
            is_improvement = (sides[0] == candidate) != (metric in LOWER_IS_BETTER)
            return found if is_improvement else Interval(-found.value, -found.high, -found.low)
        return None

    def without_champion(self) -> Self:
        """The candidates alone."""
        return msgspec.structs.replace(self, champion=None, unfit_champion=None)


def save_contest(root: Path, contest: Contest) -> Path:
    """Keep the contest for the promotion step; replaces the previous one atomically."""
    path = _path(root)
    replace_file(path, msgspec.json.format(msgspec.json.encode(contest), indent=2) + b"\n")
    return path


def load_contest(root: Path) -> Contest:
    """Read the latest contest.

    Raises:
        FileNotFoundError: nothing was evaluated yet.
    """
    return msgspec.json.decode(_path(root).read_bytes(), type=Contest)


def _path(root: Path) -> Path:
    return root / "evaluation" / "contest.json"
