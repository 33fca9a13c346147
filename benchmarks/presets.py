"""Hyper-parameters for shapes of data that the shipped ones are not tuned for."""

import msgspec

from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import ModelsSettings, NmfSettings, SvdSettings

_DENSE_FROM = 50  # observations per item

PRESETS: dict[str, ModelsSettings] = {
    "ml-1m": ModelsSettings(
        svd=SvdSettings(
            regularization=0.06,
            bias_regularization=0.02,
            epochs=40,
            learning_rate_decay=0.95,
            initial_deviation=0.05,
            ranking_regularization=20.0,
            ranking_item_regularization=10.0,
            unobserved_weight=0.4,
        ),
        nmf=NmfSettings(
            regularization=15.0,
            user_regularization=15.0,
            iterations=10,
            ranking_regularization=10.0,
            ranking_item_regularization=10.0,
            unobserved_weight=0.2,
        ),
    ),
}
"""Tuned on a validation part of the training rows; for other data run `recommender tune`."""


def with_implicit_term(settings: SvdSettings, preset: str) -> SvdSettings:
    """The same model with the implicit term of SVD++ and the penalties that it wants.

    Chosen on a validation part of the training rows of ML-1M (`ml-1m`) and of the embedded set (any other preset).
    """
    chosen = {"implicit_term": True, "initial_deviation": 0.02, "user_regularization": 8.0}
    if preset == "ml-1m":
        return msgspec.structs.replace(settings, **chosen, regularization=0.05, implicit_regularization=0.4)
    return msgspec.structs.replace(
        settings,
        **chosen,
        regularization=0.12,
        implicit_regularization=1.0,
        epochs=25,
        learning_rate_decay=0.96,
    )


def with_few_epochs(models: ModelsSettings) -> ModelsSettings:
    """The same hyper-parameters with just the epochs and iterations that reach what peers reach.

    Chosen on a validation part of ML-1M's training rows.
    """
    return ModelsSettings(
        svd=msgspec.structs.replace(models.svd, epochs=6, learning_rate=0.03, learning_rate_decay=0.8),
        nmf=msgspec.structs.replace(models.nmf, iterations=6),
    )


def preset_for(matrix: UserItemMatrix) -> str | None:
    """`ml-1m` where items have many observations each, None (the shipped hyper-parameters) where they have few."""
    return "ml-1m" if len(matrix.observations.item) >= _DENSE_FROM * matrix.n_items else None
