"""Months of the imported past."""

import dagster as dg

from recommender_assets.ingestion.month_range import history_with_range
from recommender_assets.settings import HistorySettings, load_settings

MONTH_FORMAT = "%Y-%m"


def monthly_partitions(history: HistorySettings) -> dg.MonthlyPartitionsDefinition:
    """One partition per month from `history.first_month` to `history.last_month`, both included."""
    return dg.MonthlyPartitionsDefinition(
        start_date=history.start.strftime(MONTH_FORMAT), end_date=history.end.strftime(MONTH_FORMAT), fmt=MONTH_FORMAT
    )


history_months = monthly_partitions(history_with_range(load_settings()))
