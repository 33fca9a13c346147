"""Figures of Delta tables that are read from their transaction logs."""

from pathlib import Path

from deltalake import DeltaTable

from recommender_assets.ingestion.tables import TableName, table_path


def row_count(root: Path, name: TableName) -> int:
    """Rows of a table, from the statistics of its files."""
    return int(DeltaTable(table_path(root, name)).count())
