"""Models of a given size with random factors and a random history; speed does not depend on what they mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recommender_serving.engine.champion_pointer import ChampionPointer, version_directory, write_pointer
from recommender_serving.engine.factor_model import (
    Catalogue,
    FactorModel,
    Manifest,
    RankingHead,
    RatingHead,
    write_model,
)
from recommender_serving.engine.history import latest_events
from recommender_serving.engine.manifest import Position
from recommender_serving.engine.string_table import StringTable


@dataclass(frozen=True)
class Size:
    """Rows and columns of a model."""

    users: int
    items: int
    factors: int
    events: int


MOVIELENS_1M = Size(users=6_040, items=3_706, factors=100, events=1_000_209)
MILLION_ITEMS = Size(users=2_000, items=1_000_000, factors=50, events=100_000)


def synthetic_model(size: Size, algorithm: str = "svd", seed: int = 0, position: Position | None = None) -> FactorModel:
    """A valid model; other factors for another seed or algorithm, the same users, items and history for all."""
    random = np.random.default_rng([seed, algorithm == "nmf"])
    non_negative = algorithm == "nmf"

    def factors(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        drawn = random.normal(scale=0.2, size=(rows, size.factors)).astype(np.float32)
        return np.abs(drawn) if non_negative else drawn

    history = _history(size)
    prior = np.zeros(size.factors, dtype=np.float32)
    return FactorModel(
        manifest=Manifest(
            algorithm=algorithm,
            version=f"{algorithm}-benchmark-{seed}",
            created_at="2024-01-01T00:00:00Z",
            position=position or Position(),
        ),
        user_ids=StringTable.from_strings(sorted(str(user) for user in range(size.users))),
        item_ids=StringTable.from_strings(sorted(str(item) for item in range(size.items))),
        rating=RatingHead(
            global_mean=0.0 if non_negative else 3.6,
            item_bias=np.zeros(size.items, dtype=np.float32),
            item_factors=factors(size.items),
            user_bias=np.zeros(size.users, dtype=np.float32),
            user_factors=factors(size.users),
            prior=prior,
            implicit_factors=np.empty((0, size.factors), dtype=np.float32),
            regularization=5.0,
            bias_regularization=3.0,
            has_user_bias=not non_negative,
            non_negative=non_negative,
        ),
        ranking=RankingHead(
            item_factors=factors(size.items),
            user_factors=factors(size.users),
            prior=prior,
            regularization=6.0,
            unobserved_weight=0.2,
            non_negative=non_negative,
        ),
        history=history,
        popularity=np.bincount(history.item, minlength=size.items).astype(np.float32),
        catalogue=Catalogue(
            titles=StringTable.from_strings(f"Film {item} of the catalogue (1990)" for item in range(size.items)),
            categories=StringTable.from_strings(["Drama", "Comedy|Drama"][item % 2] for item in range(size.items)),
            year=np.full(size.items, 1990, dtype=np.int16),
        ),
    )


def _history(size: Size) -> Any:
    random = np.random.default_rng(0)
    return latest_events(
        size.users,
        random.integers(0, size.users, size.events).astype(np.int32),
        (random.beta(0.6, 2.5, size.events) * size.items).astype(np.int32),
        np.zeros(size.events, dtype=np.int8),
        random.integers(1, 6, size.events).astype(np.float32),
        np.arange(size.events, dtype=np.int64),
        np.arange(size.events, dtype=np.int64),
    )


def publish(root: Path, champion: FactorModel, *others: FactorModel) -> int:
    """Write models where the service looks for them and promote the first; returns the bytes of all arrays."""
    models = (champion, *others)
    for model in models:
        directory = version_directory(root, model.version)
        if not directory.exists():
            write_model(directory, model)
    promote(root, champion.version, {model.algorithm: model.version for model in models})
    return sum(path.stat().st_size for model in models for path in version_directory(root, model.version).glob("*.npy"))


def promote(root: Path, version: str, deployed: dict[str, str]) -> None:
    """Make a published version the champion."""
    write_pointer(root, ChampionPointer(version=version, predecessor=None, deployed=deployed, promoted_at=""))
