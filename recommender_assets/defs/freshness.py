"""How old the tables and the champion may become before Dagster shows them as stale."""

import datetime as dt

import dagster as dg

from recommender_assets.settings import ChecksSettings, load_settings


def within(seconds: float) -> dg.FreshnessPolicy:
    """Materialised within the latest `seconds`."""
    return dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(seconds=seconds))


_CHECKS: ChecksSettings = load_settings().checks
EVENTS_ARE_FRESH = within(_CHECKS.fresh_seconds)
CHAMPION_IS_FRESH = within(_CHECKS.champion_fresh_seconds)
