"""The checks of `recommender_assets.automation.checks` as asset checks."""

import dagster as dg

from recommender_assets.automation.checks import CHECKS
from recommender_assets.fact import Check
from recommender_assets.settings import Settings


def as_asset_check(check: Check) -> dg.AssetChecksDefinition:
    """An asset check that tells the fact: an error where it blocks, else a warning."""

    @dg.asset_check(asset=check.asset, name=check.name, description=check.description, blocking=check.blocking)
    def told(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        fact = check(settings)
        return dg.AssetCheckResult(
            passed=fact.passed,
            severity=dg.AssetCheckSeverity.ERROR if fact.blocking else dg.AssetCheckSeverity.WARN,
            description=fact.reason or None,
            metadata=dict(fact.numbers),
        )

    return told


@dg.definitions
def asset_checks() -> dg.Definitions:
    """One asset check for each declared one."""
    return dg.Definitions(asset_checks=[as_asset_check(check) for check in CHECKS])
