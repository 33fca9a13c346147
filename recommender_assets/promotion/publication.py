"""Putting a decision into effect: model directories below `champion/versions`, then the pointer."""

import datetime as dt
import shutil
from pathlib import Path

from recommender_assets.promotion.candidates import KEPT_CANDIDATES, candidate_directory, prune
from recommender_assets.promotion.policy import Decision
from recommender_assets.promotion.soundness import factor_problems
from recommender_serving.engine.atomic_files import sync, temporary_sibling
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    champion_directory,
    read_pointer,
    version_directory,
    write_pointer,
)
from recommender_serving.engine.factor_model import read_model
from recommender_serving.engine.running_experiments import ExperimentError, read_running

KEPT_VERSIONS = 8


def publish(root: Path, decision: Decision) -> ChampionPointer | None:
    """Make the promoted candidate the champion, and deploy the other algorithm's candidate beside it.

    A decision without promotion changes nothing. The pointer is replaced last, when every model it names is complete on
    the disk and has been read back, so a service never sees half a champion. Deployed beside the champion is the other
    algorithm's candidate of the same training if it is sound, else the one that was deployed before, unless damaged.

    Returns:
        the pointer in force, None if there is no champion yet.

    Raises:
        DamagedModelError: a candidate's directory does not verify.
    """
    current = read_pointer(root)
    if not decision.promoted or decision.champion is None or (current and current.version == decision.champion):
        return current
    deployed = (_still_sound(root, current) if current else {}) | decision.fit_to_deploy()
    for version in deployed.values():
        _publish_version(root, version)
    pointer = ChampionPointer(
        version=decision.champion,
        predecessor=current.version if current else None,
        deployed=deployed,
        promoted_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        reason=decision.reason,
    )
    write_pointer(root, pointer)
    return pointer


def remove_old_models(root: Path, pointer: ChampionPointer | None) -> list[str]:
    """Remove candidates and published versions that nothing refers to any more, the newest excepted.

    The newest published versions are those that a rollback can go back to. What a running experiment names stays; if
    the file that says so cannot be read, everything does.
    """
    needed = {pointer.version, *pointer.deployed.values(), pointer.predecessor or ""} if pointer else set()
    try:
        needed |= _named_by_experiments(root)
    except ExperimentError:
        return []
    kept = {root / "models": KEPT_CANDIDATES, champion_directory(root) / "versions": KEPT_VERSIONS}
    return [v for folder, newest in kept.items() if folder.is_dir() for v in prune(folder, needed, newest)]


def _still_sound(root: Path, pointer: ChampionPointer) -> dict[str, str]:
    return {a: v for a, v in pointer.deployed.items() if not factor_problems(version_directory(root, v))}


def _named_by_experiments(root: Path) -> set[str]:
    definitions = (running.definition for running in read_running(root))
    return {variant.version for one in definitions for variant in one.variants.values() if variant.version}


def _publish_version(root: Path, version: str) -> None:
    target = version_directory(root, version)
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(target)
    try:
        shutil.copytree(candidate_directory(root, version), temporary)
        read_model(temporary)
        for path in temporary.iterdir():
            sync(path)
        sync(temporary)
        temporary.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
