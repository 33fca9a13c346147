"""Facts about the champion: that it can be served, and that everything that names it names the same version."""

from pathlib import Path

from recommender_assets.fact import Outcome, check
from recommender_assets.promotion.decisions import read_decisions
from recommender_assets.promotion.soundness import factor_problems
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    DamagedPointerError,
    read_pointer,
    version_directory,
)

CHAMPION = "champion"


class NoChampionError(FileNotFoundError):
    """There is no champion to look at, or its pointer cannot be read."""


@check(CHAMPION, blocking=True)
def champion_is_loadable(settings: Settings) -> Outcome:
    """The pointer is valid, and every deployed model passes the service's own verification, every checksum included."""
    pointer = _pointer(settings)
    problems = [
        problem
        for version in sorted({pointer.version, *pointer.deployed.values()})
        for problem in factor_problems(version_directory(settings.root, version))
    ]
    return Outcome(not problems, "; ".join(problems), {"champion": pointer.version})


@check(CHAMPION)
def predecessor_is_loadable(settings: Settings) -> Outcome:
    """The version that a rollback would go back to can be served; passes if there is none."""
    predecessor = _pointer(settings).predecessor
    if predecessor is None:
        return Outcome(True, "there is no predecessor")
    problems = factor_problems(version_directory(settings.root, predecessor))
    return Outcome(not problems, "; ".join(problems), {"predecessor": predecessor})


@check(CHAMPION)
def decisions_and_pointer_agree(settings: Settings) -> Outcome:
    """The latest row of `promotion_decisions` names the champion that the pointer names."""
    version, rows = _pointer(settings).version, read_decisions(settings.root)
    decided = rows[-1].champion if rows else None
    reason = "" if decided == version else f"the pointer names {version}, the latest decision {decided}"
    return Outcome(not reason, reason, {"decisions": len(rows)})


@check(CHAMPION)
def registry_and_pointer_agree(settings: Settings) -> Outcome:
    """MLflow's alias `production` is on the version that the pointer names, and on no other."""
    # These imports take seconds, and definitions import this module.
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    from recommender_assets.promotion.registry import Registry  # noqa: PLC0415

    version, uri = _pointer(settings).version, settings.mlflow_tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return Outcome(False, f"MLflow's store {uri} does not exist")
    try:
        production = Registry(settings).production()
    except (MlflowException, OSError) as error:
        return Outcome(False, f"MLflow at {uri} does not answer: {error}")
    named = ", ".join(production) or "no version"
    reason = "" if production == [version] else f"the pointer names {version}, the alias production is on {named}"
    return Outcome(not reason, reason, {"production": named})


CHAMPION_CHECKS = (
    champion_is_loadable,
    predecessor_is_loadable,
    decisions_and_pointer_agree,
    registry_and_pointer_agree,
)


def _pointer(settings: Settings) -> ChampionPointer:
    try:
        pointer = read_pointer(settings.root)
    except DamagedPointerError as damage:
        raise NoChampionError(str(damage)) from damage
    if pointer is None:
        raise NoChampionError("there is no champion yet")
    return pointer
