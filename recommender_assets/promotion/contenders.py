"""Candidates are made here, and measured beside the champion on one hold-out."""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from recommender_assets.evaluation.evaluation import Evaluation, evaluate
from recommender_assets.evaluation.interval import Interval
from recommender_assets.features.matrix import load_matrix, matrix_directory
from recommender_assets.promotion.candidates import ALGORITHMS, candidate_directory, newest_candidate
from recommender_assets.promotion.contest import Contest, Difference
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
    models = {version: read_model(candidate_directory(root, version)) for version in versions}
    pointer = read_pointer(root)
    if pointer and pointer.version not in models:
        models[pointer.version] = read_model(version_directory(root, pointer.version))
    evaluations = evaluate(models, matrix, mask, settings.evaluation.protocols)
    standings = {version: _standing(models[version], evaluation) for version, evaluation in evaluations.items()}
    return Contest(
        position=matrix.position,
        interactions=len(matrix.observations.item),
        hold_out=int(mask.sum()),
        candidates=tuple(standings[version] for version in versions),
        champion=standings[pointer.version] if pointer else None,
        protocols=evaluations[versions[0]].meanings,
        differences=tuple(_differences(evaluations)),
    )


def _standing(model: FactorModel, evaluation: Evaluation) -> Standing:
    intervals = _known(evaluation.intervals())
    return Standing(
        version=model.version,
        algorithm=model.algorithm,
        metrics=_finite(evaluation.metrics),
        floors={metric: _finite(floors) for metric, floors in evaluation.floors.values.items()},
        intervals={metric: (found.low, found.high) for metric, found in intervals.items()},
        curves={
            curve: {"model": values.tolist()} | {f: v.tolist() for f, v in evaluation.floors.curves[curve].items()}
            for curve, values in evaluation.measured.curves.items()
            if np.isfinite(values).all()
        },
    )


def _differences(evaluations: Mapping[str, Evaluation]) -> Iterator[Difference]:
    for left, right in combinations(evaluations, 2):
        metrics = _known(evaluations[left].difference_to(evaluations[right]))
        yield Difference(left=left, right=right, metrics=metrics)


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures without those that no user qualified for: JSON has no NaN."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _known(intervals: Mapping[str, Interval]) -> dict[str, Interval]:
    """The intervals without those of too few users, for the same reason."""
    return {name: found for name, found in intervals.items() if math.isfinite(found.low + found.high)}
