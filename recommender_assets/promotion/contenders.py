"""Candidates are made here, and measured beside the champion on one hold-out."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender_assets.evaluation.protocols import PROTOCOLS
from recommender_assets.evaluation.report import evaluate
from recommender_assets.features.matrix import UserItemMatrix, load_matrix, matrix_directory
from recommender_assets.promotion.candidates import ALGORITHMS, candidate_directory, newest_candidate
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.policy import Standing
from recommender_assets.settings import Settings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.progress import Progress
from recommender_assets.training.trainer import train
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import FactorModel, Manifest, read_model, write_model


class Candidate(NamedTuple):
    """A trained model on the disk, and the curves of its training."""

    directory: Path
    manifest: Manifest
    curves: Mapping[str, list[float]]


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
    measured = {version: _measure(model, matrix, mask) for version, model in candidates.items()}
    return Contest(
        position=matrix.position,
        hold_out=int(mask.sum()),
        candidates=tuple(measured.values()),
        protocols=PROTOCOLS,
        champion=measured.get(champion.version) or _measure(champion, matrix, mask) if champion else None,
    )


def _measure(model: FactorModel, matrix: UserItemMatrix, held_out: NDArray[np.bool_]) -> Standing:
    evaluation = evaluate(model, matrix, held_out)
    return Standing(
        version=model.version,
        algorithm=model.algorithm,
        metrics=_finite(evaluation.metrics),
        floors={metric: _finite(floors) for metric, floors in evaluation.floors.items()},
    )


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures without those that no user qualified for: JSON has no NaN."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}
