"""Whether a contest's hold-out is one that no contender has trained on, by what the models' manifests record."""

from collections.abc import Iterator
from pathlib import Path

from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.recorded_hold_out import UnknownHoldOutError, hold_out_share_of
from recommender_serving.engine.champion_pointer import version_directory
from recommender_serving.engine.factor_model import DamagedModelError, FactorModel, read_model


def leaks(root: Path, contest: Contest) -> list[str]:
    """Contenders that trained on pairs of the contest's hold-out, or cannot show that they did not."""
    return [problem for standing in contest.contenders for problem in _leaks_of(root, standing.version, contest)]


def _leaks_of(root: Path, version: str, contest: Contest) -> Iterator[str]:
    try:
        share = hold_out_share_of(_read(root, version))
    except (DamagedModelError, UnknownHoldOutError) as error:
        yield str(error)
        return
    if share < contest.hold_out_share:
        yield f"{version} left {share:g} of all pairs out of its training, the hold-out is {contest.hold_out_share:g}"


def _read(root: Path, version: str) -> FactorModel:
    candidate = candidate_directory(root, version)
    return read_model(candidate if candidate.is_dir() else version_directory(root, version))
