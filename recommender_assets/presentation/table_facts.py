"""Figures of Delta tables that are read from their transaction logs."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import table_path


def table_facts(root: Path, name: TableName) -> dict[str, int]:
    """Rows, files, bytes and version of a table, for Dagster's metadata."""
    table = DeltaTable(table_path(root, name))
    files = pa.table(table.get_add_actions(flatten=True))
    return {
        "dagster/row_count": int(table.count()),
        "files": files.num_rows,
        "bytes": int(pc.sum(files["size_bytes"]).as_py() or 0),
        "version": int(table.version()),
    }
