"""Putting an earlier champion back into service."""

import datetime as dt
from pathlib import Path
from typing import Literal, NamedTuple

from mlflow.exceptions import MlflowException

from recommender_assets.promotion.champion_lock import champion_lock
from recommender_assets.promotion.decisions import (
    DecisionRow,
    append_decision,
    read_decisions,
    rolled_back,
    row_without_contest,
)
from recommender_assets.promotion.registry import Registry
from recommender_assets.promotion.soundness import factor_problems
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import (
    ChampionPointer,
    champion_directory,
    read_pointer,
    version_directory,
    write_pointer,
)
from recommender_serving.engine.factor_model import read_model

NO_REASON = "no reason given"


class RollbackError(RuntimeError):
    """The champion stays what it is; the message says why."""


class Rollback(NamedTuple):
    """What a rollback did.

    Attributes:
        row: in the table of decisions.
        pointer: in force now.
        registry_problem: why MLflow's alias could not be moved; None if it was.
    """

    row: DecisionRow
    pointer: ChampionPointer
    registry_problem: str | None


def roll_back(
    settings: Settings,
    to: str | None = None,
    reason: str = "",
    kind: Literal["rollback", "live_rollback"] = "rollback",
    from_version: str | None = None,
) -> Rollback:
    """Make an earlier version champion again; the version that was champion is not promoted again by itself.

    First the pointer, which services follow, then the table of decisions, then MLflow's aliases: a registry that is
    away does not keep a bad model in service.

    Args:
        settings: whose champion.
        to: version to go back to; None = the champion's predecessor.
        reason: for the record.
        kind: who asked for it.
        from_version: do nothing unless this is the champion still; None = whatever is.

    Raises:
        RollbackError: there is nothing to go back to, or it is missing or damaged. Nothing has changed.
        DamagedPointerError: the pointer cannot be read.
    """
    root = settings.root
    with champion_lock(root):
        current = read_pointer(root)
        if current is None:
            raise RollbackError("there is no champion yet, so there is nothing to roll back")
        if from_version and current.version != from_version:
            raise RollbackError(f"{from_version} is not the champion any more, {current.version} is")
        target = _target(root, current, to)
        reason = reason or NO_REASON
        rows = read_decisions(root)
        pointer = ChampionPointer(
            version=target,
            predecessor=_predecessor(root, target, current, rows),
            deployed=_deployed(root, target, current, rows),
            promoted_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            reason=f"rollback from {current.version}: {reason}",
        )
        write_pointer(root, pointer)
        row = row_without_contest(kind, pointer, current.version, reason)
        append_decision(root, row)
        return Rollback(row, pointer, _register(settings, row))


def _target(root: Path, current: ChampionPointer, to: str | None) -> str:
    published = sorted(path.name for path in (champion_directory(root) / "versions").glob("[!.]*"))
    others = ", ".join(version for version in published if version != current.version) or "none"
    target = to or current.predecessor
    if target is None:
        raise RollbackError(f"champion {current.version} has no predecessor; versions to go back to: {others}")
    if target == current.version:
        raise RollbackError(f"{target} is the champion already")
    if target not in published:
        raise RollbackError(f"there is no published version {target}; versions to go back to: {others}")
    if problems := factor_problems(version_directory(root, target)):
        raise RollbackError(f"{target} cannot be served: {'; '.join(problems)}; versions to go back to: {others}")
    return target


def _predecessor(root: Path, target: str, current: ChampionPointer, rows: tuple[DecisionRow, ...]) -> str | None:
    """What was champion before the target became it, unless it is gone or was rolled back."""
    barred = {current.version, *rolled_back(rows)}
    found = next(
        (
            row.predecessor
            for row in reversed(rows)
            if row.champion == target and row.kind in {"promotion", "experiment"}
        ),
        None,
    )
    return found if found and found not in barred and version_directory(root, found).is_dir() else None


def _deployed(root: Path, target: str, current: ChampionPointer, rows: tuple[DecisionRow, ...]) -> dict[str, str]:
    """What was deployed while the target was champion, as far as it can still be served; the target in any case."""
    then = next((row.deployed for row in reversed(rows) if row.champion == target), {})
    barred = {current.version, *rolled_back(rows)}
    sound = {
        algorithm: version
        for algorithm, version in then.items()
        if version not in barred and not factor_problems(version_directory(root, version))
    }
    return sound | {read_model(version_directory(root, target)).algorithm: target}


def _register(settings: Settings, row: DecisionRow) -> str | None:
    try:
        Registry(settings).record_rollback(row.champion or "", row.predecessor or "", row.reason, row.decision_id)
    except (MlflowException, LookupError, OSError) as error:
        return f"MLflow at {settings.mlflow_tracking_uri} was not told: {error}"
    return None
