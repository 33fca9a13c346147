"""A storage root of its own for a simulated experiment, with the deployed models and none of the past."""

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec

from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    champion_directory,
    read_pointer,
    version_directory,
    write_pointer,
)
from recommender_serving.engine.experiment_definition import ExperimentDefinition
from recommender_serving.engine.factor_model import read_model, write_model
from recommender_serving.engine.manifest import Position


def simulation_root(root: Path, name: str) -> Path:
    """Where a simulated experiment keeps its tables, models and logs."""
    return root / "experiments" / "simulations" / name


def new_simulation_root(root: Path, definition: ExperimentDefinition) -> Path:
    """Make the simulation's storage root anew, with every deployed or named model as if no event had been read yet.

    The models keep their versions; only their position is emptied, so that the service reads the simulation's own topic
    from its start.

    Raises:
        ValueError: there is no champion, or a variant needs a model that is not deployed.
    """
    pointer = read_pointer(root)
    if pointer is None:
        raise ValueError("no model is deployed: train one first (`make demo`, or `recommender train`)")
    require_deployed(root, definition, pointer)
    target = simulation_root(root, definition.name)
    shutil.rmtree(target, ignore_errors=True)
    named = {variant.version for variant in definition.variants.values() if variant.version}
    for version in {pointer.version, *pointer.deployed.values(), *named}:
        model = read_model(version_directory(root, version))
        directory = version_directory(target, version)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_model(directory, replace(model, manifest=msgspec.structs.replace(model.manifest, position=Position())))
    write_pointer(target, pointer)
    return target


def require_deployed(root: Path, definition: ExperimentDefinition, pointer: ChampionPointer) -> None:
    """Refuse an experiment whose variants the service cannot answer.

    Raises:
        ValueError: naming the variant, what it wants and what there is.
    """
    for arm, variant in definition.variants.items():
        if variant.algorithm not in pointer.deployed:
            known = ", ".join(sorted(pointer.deployed)) or "none"
            raise ValueError(
                f"variants.{arm}.algorithm: expected one that is deployed ({known}), got {variant.algorithm!r}"
            )
        if variant.version is None:
            continue
        folder = champion_directory(root) / "versions"
        published = sorted(path.name for path in folder.glob(f"{variant.algorithm}-*"))
        if variant.version not in published:
            known = ", ".join(published) or "none"
            raise ValueError(
                f"variants.{arm}.version: expected a published version of {variant.algorithm} ({known}), "
                f"got {variant.version!r}"
            )
