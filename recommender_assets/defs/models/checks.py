"""A model that is not whole, or not finite, goes no further."""

import dagster as dg

from recommender_assets.defs.models.assets import nmf_model, svd_model
from recommender_assets.settings import Settings


@dg.asset_check(asset=svd_model, name="factors_are_finite", blocking=True)
def svd_factors_are_finite(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The newest svd model reads back with every checksum right, every number finite and neither head all zeros."""
    return _factors_are_finite(settings, "svd")


@dg.asset_check(asset=nmf_model, name="factors_are_finite", blocking=True)
def nmf_factors_are_finite(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The newest nmf model reads back with every checksum right, no negative factor and neither head all zeros."""
    return _factors_are_finite(settings, "nmf")


def _factors_are_finite(settings: Settings, algorithm: str) -> dg.AssetCheckResult:
    from recommender_assets.promotion.candidates import candidate_directory, newest_candidate
    from recommender_assets.promotion.soundness import factor_problems

    directory = candidate_directory(settings.root, newest_candidate(settings.root, algorithm))
    problems = factor_problems(directory)
    return dg.AssetCheckResult(
        passed=not problems, description="; ".join(problems) or None, metadata={"version": directory.name}
    )
