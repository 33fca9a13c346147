"""Trained models on their way to promotion: `models/<version>/` below the storage root."""

import shutil
from collections.abc import Collection
from pathlib import Path

ALGORITHMS = ("svd", "nmf")
KEPT_CANDIDATES = 4


class NoCandidateError(LookupError):
    """There is no trained model of an algorithm."""


def candidate_directory(root: Path, version: str) -> Path:
    """Where a trained model lives."""
    return root / "models" / version


def newest_candidate(root: Path, algorithm: str) -> str:
    """Version of the model of an algorithm that was trained last.

    Versions begin with the algorithm and the UTC time, so their order is the order of training.

    Raises:
        NoCandidateError: no model of this algorithm was trained.
    """
    versions = sorted(path.name for path in (root / "models").glob(f"{algorithm}-*") if path.is_dir())
    if not versions:
        raise NoCandidateError(
            f"no trained {algorithm} model below {root / 'models'}: materialise {algorithm}_model first"
        )
    return versions[-1]


def prune(directory: Path, needed: Collection[str], newest: int) -> list[str]:
    """Remove old model directories: kept are the needed ones and this many of the newest.

    Returns:
        the versions removed.
    """
    newest_first = sorted(
        (path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime_ns,
        reverse=True,
    )
    removed = [path for path in newest_first[newest:] if path.name not in needed]
    for path in removed:
        shutil.rmtree(path)
    return [path.name for path in removed]
