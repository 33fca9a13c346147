"""Candidates are made here, and measured beside the champion on one hold-out."""

import math
import time
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from recommender_assets.evaluation.evaluation import Evaluation, evaluate
from recommender_assets.evaluation.finite_figures import finite_figures
from recommender_assets.evaluation.interval import Interval
from recommender_assets.features.matrix import load_matrix, matrix_directory
from recommender_assets.promotion.candidates import ALGORITHMS, candidate_directory, newest_candidate
from recommender_assets.promotion.contest import Contest, Difference, UnfitChampion
from recommender_assets.promotion.recorded_hold_out import UnknownHoldOutError, hold_out_share_of
from recommender_assets.promotion.serving_figures import MEANINGS, serving_figures
from recommender_assets.promotion.standing import Standing
from recommender_assets.promotion.training_record import TrainingRecord, save_training_record
from recommender_assets.settings import Settings
from recommender_assets.training.engines import engine
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.progress import Progress
from recommender_assets.training.trainer import train
from recommender_serving.engine.champion_pointer import read_pointer, version_directory
from recommender_serving.engine.factor_model import DamagedModelError, FactorModel, Manifest, read_model, write_model


class Candidate(NamedTuple):
    """A trained model on the disk, and the curves of its training."""

    directory: Path
    manifest: Manifest
    curves: Mapping[str, list[float]]


def train_candidate(algorithm: Literal["svd", "nmf"], settings: Settings, progress: Progress) -> Candidate:
    """Train one algorithm on the saved matrix and write its model directory."""
    started = time.monotonic()
    trained = train(algorithm, load_matrix(matrix_directory(settings.root)), settings, progress, engine(settings))
    directory = candidate_directory(settings.root, trained.model.version)
    directory.parent.mkdir(parents=True, exist_ok=True)
    manifest = write_model(directory, trained.model)
    seconds = time.monotonic() - started
    record = TrainingRecord(version=manifest.version, seconds=seconds, curves=trained.curves)
    save_training_record(settings.root, algorithm, record)
    return Candidate(directory, manifest, trained.curves)


def hold_contest(settings: Settings) -> Contest:
    """Measure the newest candidate of each algorithm, and the champion if there is one, on the same hold-out.

    The hold-out is the smallest that any of them left out of its training: a greater share only adds pairs, so nobody
    has trained on it. A champion that is damaged, or does not say what it left out, is named as unfit.

    Raises:
        UnknownHoldOutError: a candidate does not record its hold-out.
    """
    root = settings.root
    matrix = load_matrix(matrix_directory(root))
    versions = [newest_candidate(root, algorithm) for algorithm in ALGORITHMS]
    models = {version: read_model(candidate_directory(root, version)) for version in versions}
    shares = {version: hold_out_share_of(model) for version, model in models.items()}
    pointer = read_pointer(root)
    unfit = None
    if pointer and pointer.version not in models:
        try:
            champion = read_model(version_directory(root, pointer.version))
            shares[pointer.version] = hold_out_share_of(champion)
            models[pointer.version] = champion
        except (DamagedModelError, UnknownHoldOutError) as error:
            unfit = UnfitChampion(version=pointer.version, problem=str(error))
    share = min(shares.values())
    mask = hold_out_mask(matrix, share)
    evaluations = evaluate(models, matrix, mask, settings.evaluation.protocols)
    confidence = settings.promotion.confidence
    standings = {v: _standing(models[v], evaluation, confidence) for v, evaluation in evaluations.items()}
    return Contest(
        position=matrix.position,
        interactions=len(matrix.observations.item),
        hold_out=int(mask.sum()),
        hold_out_share=share,
        confidence=confidence,
        candidates=tuple(standings[version] for version in versions),
        champion=standings[pointer.version] if pointer and not unfit else None,
        unfit_champion=unfit,
        protocols=evaluations[versions[0]].meanings | MEANINGS,
        differences=tuple(_differences(evaluations, confidence)),
    )


def _standing(model: FactorModel, evaluation: Evaluation, confidence: float) -> Standing:
    intervals = _known(evaluation.intervals(confidence))
    return Standing(
        version=model.version,
        algorithm=model.algorithm,
        metrics=finite_figures(evaluation.metrics | serving_figures(model)),
        floors={metric: finite_figures(floors) for metric, floors in evaluation.floors.values.items()},
        intervals={metric: (found.low, found.high) for metric, found in intervals.items()},
        curves={
            curve: {"model": values.tolist()} | {f: v.tolist() for f, v in evaluation.floors.curves[curve].items()}
            for curve, values in evaluation.measured.curves.items()
            if np.isfinite(values).all()
        },
    )


def _differences(evaluations: Mapping[str, Evaluation], confidence: float) -> Iterator[Difference]:
    for left, right in combinations(evaluations, 2):
        metrics = _known(evaluations[left].difference_to(evaluations[right], confidence))
        yield Difference(left=left, right=right, metrics=metrics)


def _known(intervals: Mapping[str, Interval]) -> dict[str, Interval]:
    """The intervals without those of too few users: JSON has no NaN."""
    return {name: found for name, found in intervals.items() if math.isfinite(found.low + found.high)}
