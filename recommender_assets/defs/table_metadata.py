"""Metadata that Dagster's catalogue shows for Delta tables."""

from typing import Any

import dagster as dg

from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import table_path
from recommender_assets.settings import load_settings


def table_metadata(name: TableName) -> dict[str, Any]:
    """Name, place and columns of a table, for an asset's definition."""
    columns = [
        dg.TableColumn(field.name, str(field.type), constraints=dg.TableColumnConstraints(nullable=field.nullable))
        for field in SCHEMAS[name]
    ]
    return {
        "dagster/table_name": name,
        "dagster/uri": table_path(load_settings().root, name),
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }
