"""Proof that ingestion lost nothing and counted nothing twice. Both checks block what is downstream."""

from collections.abc import Sequence

import dagster as dg

from recommender_assets.defs.interactions.assets import interactions
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from recommender_assets.settings import Settings

SHOWN = 20


@dg.asset_check(asset=interactions, blocking=True)
def offsets_are_contiguous(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The ranges in the ingestion ledger follow each other without gap or overlap, per topic and partition."""
    return _nothing_found(contiguity_gaps(settings.root))


@dg.asset_check(asset=interactions, blocking=True)
def every_record_is_accounted_for(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The rows in `interactions` and `rejected_events` are exactly those that the ingestion ledger counts."""
    return _nothing_found(accounting_errors(settings.root))


def _nothing_found(findings: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not findings,
        description="; ".join(findings[:SHOWN]) or None,
        metadata={"findings": len(findings)},
    )
