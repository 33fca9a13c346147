"""Candidates are made here, and measured beside the champion on one hold-out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from recommender_assets.evaluation.report import evaluate
from recommender_assets.features.matrix import UserItemMatrix, load_matrix
from recommender_assets.promotion.candidates import ALGORITHMS, candidate_directory, newest_candidate
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.policy import Standing
from recommender_assets.settings import Settings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import train
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import FactorModel, Manifest, read_model, write_model

Progress = Callable[[str, int, int, Mapping[str, Any]], None]


class Candidate(NamedTuple):
    """A trained model on the disk, and the curves of its training."""

    directory: Path
    manifest: Manifest
    curves: Mapping[str, list[float]]


def matrix_directory(root: Path) -> Path:
    """Where the user-item matrix is kept between the assets."""
    return root / "matrix"


def train_candidate(algorithm: Literal["svd", "nmf"], settings: Settings, progress: Progress) -> Candidate:
    """Train one algorithm on the saved matrix and write its model directory."""
    trained = train(algorithm, load_matrix(matrix_directory(settings.root)), settings, progress)
    directory = candidate_directory(settings.root, trained.model.version)
    directory.parent.mkdir(parents=True, exist_ok=True)
    return Candidate(directory, write_model(directory, trained.model), trained.curves)


def hold_contest(settings: Settings) -> Contest:
    """Measure the newest candidate of each algorithm, and the champion if there is one, on the same hold-out."""
    root = settings.root
    matrix = load_matrix(matrix_directory(root))
    mask = hold_out_mask(matrix, settings.training.hold_out_share)
    versions = [newest_candidate(root, algorithm) for algorithm in ALGORITHMS]
    candidates = {version: read_model(candidate_directory(root, version)) for version in versions}
    pointer = read_pointer(root)
    champion = read_model(version_directory(root, pointer.version)) if pointer else None
    measured = {version: _measure(model, matrix, mask, settings) for version, model in candidates.items()}
    return Contest(
        position=matrix.position,
        hold_out=int(mask.sum()),
        candidates=tuple(measured.values()),
        champion=measured.get(champion.version) or _measure(champion, matrix, mask, settings) if champion else None,
    )


def _measure(model: FactorModel, matrix: UserItemMatrix, mask: Any, settings: Settings) -> Standing:
    evaluation = evaluate(model, matrix, mask, settings)
    return Standing(
        version=model.version, algorithm=model.algorithm, metrics=evaluation.metrics, floors=evaluation.floors
    )
