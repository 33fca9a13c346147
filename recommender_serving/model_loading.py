"""Reads a model version into memory beside a service that answers meanwhile, in small steps that free the GIL."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from recommender_serving.engine.champion_pointer import version_directory
from recommender_serving.engine.factor_model import DamagedModelError, FactorModel, read_model, with_shared_arrays
from recommender_serving.engine.recent_interactions import RecentInteractions, recent_interactions
from recommender_serving.engine.top_items import ItemIndex
from recommender_serving.engine.user_space import UserSpace, user_space


class LoadedModel(NamedTuple):
    """A model with everything that is worked out from it once."""

    model: FactorModel
    item_index: ItemIndex
    recent: RecentInteractions
    users: UserSpace


def load_model(root: Path, version: str, loaded: Iterable[FactorModel]) -> LoadedModel:
    """Read and check one version.

    Args:
        root: Storage root.
        version: Model version.
        loaded: Models in memory; arrays that equal one of theirs are shared with it.

    Raises:
        DamagedModelError: the version is damaged, or the directory holds another one.
    """
    model = read_model(version_directory(root, version))
    if model.version != version:
        raise DamagedModelError(f"the directory of version {version} holds version {model.version}")
    for other in loaded:
        model = with_shared_arrays(model, other)
    return prepared(model)


def prepared(model: FactorModel) -> LoadedModel:
    """The model with what is worked out from it: here, once, rather than by the first request."""
    _ = model.ranking.gram, model.catalogue.category_index
    recent = recent_interactions(model.history, time.time_ns() // 1_000)
    return LoadedModel(model, ItemIndex(model.ranking.item_factors), recent, user_space(model))
