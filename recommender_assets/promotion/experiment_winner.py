"""Making the winner of an experiment the champion: users have decided, the policy's safeguards still hold."""

import datetime as dt

from recommender_assets.promotion.champion_lock import champion_lock
from recommender_assets.promotion.decisions import append_decision, read_decisions, rolled_back, row_without_contest
from recommender_assets.promotion.registry import Registry
from recommender_assets.promotion.soundness import factor_problems
from recommender_assets.settings import Settings
from recommender_serving.engine.champion_pointer import ChampionPointer, read_pointer, version_directory, write_pointer


class WinnerRefusedError(RuntimeError):
    """The champion stays what it is; the message says why."""


def promote_winner(settings: Settings, version: str, reason: str) -> ChampionPointer:
    """Make a deployed model the champion because its users were better off.

    Only what is deployed can win, and the policy deploys only what beats its floors and keeps its limits. The gain on
    the hold-out is not asked for again: the experiment has answered what it stands for.

    Args:
        settings: whose champion.
        version: of the model that won.
        reason: for the record.

    Raises:
        WinnerRefusedError: it is champion already, not deployed any more, was rolled back, or is damaged.
    """
    root = settings.root
    with champion_lock(root):
        current = read_pointer(root)
        if earlier := rolled_back(read_decisions(root)).get(version):
            raise WinnerRefusedError(f"{version} was rolled back: {earlier}")
        if current is None or version not in current.deployed.values():
            deployed = ", ".join(sorted(current.deployed.values())) if current else "nothing"
            raise WinnerRefusedError(f"{version} is not deployed any more, {deployed} is")
        if version == current.version:
            raise WinnerRefusedError(f"{version} is the champion already")
        if problems := factor_problems(version_directory(root, version)):
            raise WinnerRefusedError(f"{version} cannot be served: {'; '.join(problems)}")
        pointer = ChampionPointer(
            version=version,
            predecessor=current.version,
            deployed=current.deployed,
            promoted_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            reason=reason,
        )
        write_pointer(root, pointer)
        append_decision(root, row_without_contest("experiment", pointer, current.version, reason))
        Registry(settings).set_production(version)
        return pointer
