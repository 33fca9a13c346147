"""Hyper-parameters for shapes of data that the shipped ones are not tuned for."""

from typing import Any

import msgspec
import yaml

from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import ModelsSettings, NmfSettings, SvdSettings

_DENSE_FROM = 50  # observations per item

PRESETS: dict[str, ModelsSettings] = {
    "dense": ModelsSettings(
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
"""`dense`: many observations of each item; tuned on a validation part of the training rows of MovieLens 1M.

What ships as default is tuned for few observations of each item, on the embedded set. For other data run
`recommender tune`.
"""


def preset_for(matrix: UserItemMatrix) -> str | None:
    """`dense` where items have many observations each, None (the shipped hyper-parameters) where they have few."""
    return "dense" if len(matrix.observations.item) >= _DENSE_FROM * matrix.n_items else None


def preset_snippet(name: str) -> str:
    """The part of `config.yaml` that a preset stands for: what differs from the defaults."""
    changed: dict[str, dict[str, Any]] = {}
    for algorithm, defaults in (("svd", SvdSettings()), ("nmf", NmfSettings())):
        chosen = msgspec.to_builtins(getattr(PRESETS[name], algorithm))
        shipped = msgspec.to_builtins(defaults)
        changed[algorithm] = {key: value for key, value in chosen.items() if value != shipped[key]}
    return yaml.safe_dump({"models": changed}, sort_keys=False)
