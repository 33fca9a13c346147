"""What a search may look at: rows outside the stable hold-out, divided into a training and a validation part."""

from hashlib import blake2b
from pathlib import Path

import numpy as np

from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import random_rows_per_user
from recommender_assets.features.matrix import UserItemMatrix, load_matrix, matrix_directory
from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.settings import Settings, TrainingSettings
from recommender_assets.training.heads import TooFewRatingsError
from recommender_assets.training.hold_out import hold_out_mask

_VALIDATION_SHARE = 0.2


class NoMatrixError(ValueError):
    """There is no user-item matrix to tune on yet."""


def tuning_matrix(settings: Settings, ratings: Path | None) -> UserItemMatrix:
    """The matrix of a ratings file, or without one the current `user_item_matrix`.

    Raises:
        NoMatrixError: no `user_item_matrix` has been written.
    """
    if ratings is not None:
        return rating_matrix(ratings, settings.weights)
    directory = matrix_directory(settings.root)
    try:
        return load_matrix(directory)
    except FileNotFoundError:
        raise NoMatrixError(
            f"no user_item_matrix in {directory}: run `recommender train` first, or give a file with --ratings"
        ) from None


def validation_split(matrix: UserItemMatrix, training: TrainingSettings) -> Split:
    """A random fifth of each user's rows outside the hold-out, to be predicted from the rest of them.

    Raises:
        TooFewRatingsError: one of the two parts would have no rating.
    """
    may_train = matrix.observations.select(~hold_out_mask(matrix, training.hold_out_share))
    validation = random_rows_per_user(may_train, _VALIDATION_SHARE, training.seed)
    split = Split(may_train.select(~validation), may_train.select(validation), matrix.n_items, matrix.scale)
    if np.isnan(split.training.rating).all() or not len(split.rated_test.item):
        raise TooFewRatingsError("too few ratings outside the hold-out to divide into training and validation rows")
    return split


def split_digest(split: Split) -> bytes:
    """Differs for different rows: figures of different rows do not compare."""
    digest = blake2b(digest_size=16)
    for part in (split.training, split.test):
        for array in (part.indptr, part.item, part.rating, part.strength):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()
