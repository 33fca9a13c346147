"""Trains a whole model: both heads, with the users solved from everything that is known about them."""

import datetime as dt
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from typing import Literal

from recommender_assets.features.content_features import content_features
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import Settings
from recommender_assets.training.cold_start import with_cold_items
from recommender_assets.training.heads import FitHeads, Heads, fit_heads, with_users_of
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.hyper_parameters import recorded_parameters
from recommender_assets.training.progress import Progress, silent
from recommender_serving.engine.factor_model import FactorModel
from recommender_serving.engine.manifest import Manifest

Algorithm = Literal["svd", "nmf"]

_LIBRARIES = {"local": ("numba", "numpy"), "spark": ("numba", "numpy", "pyspark")}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model that is ready to be written, with the curves of its training (see `Heads`)."""

    model: FactorModel
    curves: dict[str, list[float]]


def train(
    algorithm: Algorithm,
    matrix: UserItemMatrix,
    settings: Settings,
    progress: Progress = silent,
    fit: FitHeads = fit_heads,
) -> TrainedModel:
    """Train a model on the matrix. Item factors never see the hold-out; the shipped users are solved from all rows.

    Same matrix, settings and seed give the same arrays, byte for byte, on the same machine.

    Args:
        algorithm: `svd` or `nmf`.
        matrix: what to learn from.
        settings: `models`, `training` are used.
        progress: called after every epoch and iteration.
        fit: the engine that fits item factors, see `engines.py`.

    Raises:
        TooFewRatingsError: no rating is left outside the hold-out.
    """
    hyper_parameters = settings.models.svd if algorithm == "svd" else settings.models.nmf
    held_out = hold_out_mask(matrix, settings.training.hold_out_share)
    training_rows = matrix.observations.select(~held_out)
    heads = fit(training_rows, matrix.n_items, hyper_parameters, settings.training.seed, progress)
    heads = with_cold_items(heads, training_rows, partial(content_features, matrix.catalogue))
    heads = with_users_of(heads, matrix.observations)
    created_at = dt.datetime.now(dt.UTC)
    manifest = Manifest(
        algorithm=algorithm,
        version=f"{algorithm}-{created_at:%Y%m%dT%H%M%SZ}-{_content_of(heads)}",
        created_at=created_at.isoformat(timespec="seconds"),
        hyper_parameters=recorded_parameters(settings, algorithm),
        metrics={"train_rmse": heads.curves["rating_rmse"][-1]},
        position=matrix.position,
        weights=matrix.weights,
        scale=matrix.scale,
        seed=settings.training.seed,
        library_versions={name: version(name) for name in _LIBRARIES[settings.training.engine]},
    )
    model = FactorModel(
        manifest=manifest,
        user_ids=matrix.user_ids,
        item_ids=matrix.item_ids,
        rating=heads.rating,
        ranking=heads.ranking,
        history=matrix.history,
        popularity=matrix.popularity,
        catalogue=matrix.catalogue,
    )
    return TrainedModel(model=model, curves=heads.curves)


def _content_of(heads: Heads) -> str:
    """Eight hexadecimal digits that differ for different factors."""
    digest = blake2b(digest_size=4)
    for array in (
        heads.rating.item_factors,
        heads.rating.user_factors,
        heads.ranking.item_factors,
        heads.ranking.user_factors,
    ):
        digest.update(array.tobytes())
    return digest.hexdigest()
