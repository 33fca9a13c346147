"""Imports the catalogue: which items there are, with title, categories and year."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from recommender_assets.ingestion import sources
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, replace_in_table, table_path
from recommender_assets.settings import CatalogueSettings, HistorySettings, Settings


class CatalogueError(ValueError):
    """The catalogue cannot be imported; the message names the setting, the item and the rule."""


def import_items(settings: Settings) -> int:
    """Replace table `items` by the source's catalogue; returns the number of items.

    Raises:
        CatalogueError: the configured file cannot be read, lacks a column, or has an item without id or twice.
    """
    create_tables(settings.root)
    items = catalogue(settings.history)
    replace_in_table(table_path(settings.root, "items"), items)
    return int(items.num_rows)


def catalogue(history: HistorySettings) -> pa.Table:
    """The items beside the history, in the columns of table `items`; empty if no catalogue is configured.

    Raises:
        CatalogueError: see `import_items`.
    """
    if history.source == "movielens":
        return sources.films()
    if not history.catalogue.path:
        return SCHEMAS["items"].empty_table()
    return _items(_read(history), history.catalogue)


def _read(history: HistorySettings) -> pa.Table:
    path = Path(history.catalogue.path)
    try:
        if history.source == "parquet":
            return parquet.read_table(path)
        parsing = csv.ParseOptions(delimiter=history.delimiter)
        names = csv.open_csv(path, parse_options=parsing).schema.names
        as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
        return csv.read_csv(path, parse_options=parsing, convert_options=as_text)
    except (OSError, pa.ArrowException) as error:
        raise CatalogueError(f"history.catalogue.path: cannot read {path}: {error}") from error


def _items(rows: pa.Table, columns: CatalogueSettings) -> pa.Table:
    named = {field: getattr(columns, field) for field in ("item_id", "title", "categories", "year")}
    for field, name in named.items():
        if name and name not in rows.column_names:
            there = ", ".join(rows.column_names)
            raise CatalogueError(f"history.catalogue.{field}: no column {name!r}, the source has {there}")
    ids = rows[columns.item_id].cast(pa.string())
    _require_unique(ids)
    title = rows[columns.title].cast(pa.string()) if columns.title else pa.nulls(rows.num_rows, pa.string())
    return pa.table(
        {
            "item_id": ids,
            "title": pc.coalesce(title, ids),
            "categories": _categories(rows, columns),
            "year": _years(rows, columns.year),
        },
        schema=SCHEMAS["items"],
    )


def _require_unique(ids: pa.ChunkedArray) -> None:
    counts = ids.value_counts().to_pylist()
    broken = next((count for count in counts if not count["values"] or count["counts"] > 1), None)
    if broken:
        rule = "must be unique" if broken["values"] else "must not be empty"
        raise CatalogueError(f"history.catalogue: item_id {rule}, got {broken['values']!r} in {broken['counts']} rows")


def _categories(rows: pa.Table, columns: CatalogueSettings) -> list[list[str]]:
    if not columns.categories:
        return [[]] * rows.num_rows
    values = rows[columns.categories].to_pylist()
    separated = [v.split(columns.category_separator) if isinstance(v, str) else v or [] for v in values]
    return [[name for name in names if name] for names in separated]


def _years(rows: pa.Table, name: str) -> pa.Array:
    """Years as integers; 0 where there is none, or none between 1 and 9999."""
    if not name:
        return pa.repeat(pa.scalar(0, pa.int32()), rows.num_rows)
    texts = pc.fill_null(rows[name].cast(pa.string()), "").to_pylist()
    return pa.array([int(text) if text.isdecimal() and len(text) <= 4 else 0 for text in texts], pa.int32())
