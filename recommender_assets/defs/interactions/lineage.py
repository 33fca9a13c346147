"""Which columns of the event tables become which columns of the profiles."""

import dagster as dg

from recommender_assets.ingestion.schemas import SCHEMAS, ProfileTableName

_SOURCES = ("interactions", "interaction_history")
_FROM_EVENTS = {
    "user_id": "user_id",
    "item_id": "item_id",
    "users": "user_id",
    "interactions": "event_type",
    "ratings": "rating",
    "rating_sum": "rating",
    "first_interaction": "timestamp",
    "last_interaction": "timestamp",
    "per_minute": "timestamp",
    "per_hour": "timestamp",
    "category_affinity": "item_id",
}


def profile_lineage(name: ProfileTableName) -> dg.TableColumnLineage:
    """For every column of a profile table the columns it is made from."""
    return dg.TableColumnLineage({column: _sources_of(column) for column in SCHEMAS[name].names})


def _sources_of(column: str) -> list[dg.TableColumnDep]:
    found = [dg.TableColumnDep(table, _FROM_EVENTS[column]) for table in _SOURCES]
    return [*found, dg.TableColumnDep("items", "categories")] if column == "category_affinity" else found
