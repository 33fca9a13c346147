"""Proof that ingestion lost nothing and counted nothing twice. Both checks block what is downstream."""

from collections.abc import Sequence

import dagster as dg

from recommender_assets.defs.interactions.assets import interactions
from recommender_assets.ingestion.accounting import accounting_differences
from recommender_assets.ingestion.deduplication import recent_duplicates
from recommender_assets.ingestion.ledger import accounting_errors, contiguity_gaps
from recommender_assets.settings import Settings

SHOWN = 20
LATEST_ROWS = 1_000_000


@dg.asset_check(asset=interactions, blocking=True)
def offsets_are_contiguous(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """The ranges in the ingestion ledger follow each other without gap or overlap, per topic and partition."""
    return _nothing_found(contiguity_gaps(settings.root))


@dg.asset_check(asset=interactions, blocking=True)
def every_record_is_accounted_for(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """`interactions` and `rejected_events` hold as many rows as the ingestion ledger counts, range by range.

    Compared by the statistics of the tables' files; only when these differ are rows read, to say which.
    """
    differ = accounting_differences(settings.root)
    return _nothing_found(accounting_errors(settings.root) if differ else [])


@dg.asset_check(asset=interactions, blocking=True)
def no_duplicate_events(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """No event among the latest million rows of `interactions` has a second row anywhere in the table."""
    return _nothing_found(recent_duplicates(settings.root, LATEST_ROWS))


def _nothing_found(findings: Sequence[str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not findings,
        description="; ".join(findings[:SHOWN]) or None,
        metadata={"findings": len(findings)},
    )
