"""The champion must load exactly as the service loads it."""

import dagster as dg

from recommender_assets.defs.champion.assets import champion
from recommender_assets.settings import Settings


@dg.asset_check(asset=champion, blocking=True)
def champion_is_loadable(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The pointer is valid, and every deployed model directory passes the engine's own verification."""
    from recommender_assets.promotion.soundness import factor_problems
    from recommender_serving.engine.champion_pointer import read_pointer, version_directory

    pointer = read_pointer(settings.root)
    if pointer is None:
        return dg.AssetCheckResult(passed=False, description="there is no champion yet")
    problems = [
        problem
        for version in sorted({pointer.version, *pointer.deployed.values()})
        for problem in factor_problems(version_directory(settings.root, version))
    ]
    return dg.AssetCheckResult(
        passed=not problems, description="; ".join(problems) or None, metadata={"champion": pointer.version}
    )
