"""Section `history`: the imported past."""

import datetime as dt
from typing import Literal

import msgspec


def _month_start(field: str, value: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(value, "%Y-%m").replace(tzinfo=dt.UTC)
    except ValueError:
        raise ValueError(f"{field} must be a month like 2014-12, got {value!r}") from None


class HistoryColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of the source's columns by field of an event; an empty one is absent (then `rating` is the event type)."""

    user_id: str = "user_id"
    item_id: str = "item_id"
    rating: str = "rating"
    timestamp: str = "timestamp"
    event_type: str = ""
    event_id: str = ""

    def __post_init__(self) -> None:
        for field in ("user_id", "item_id", "timestamp"):
            if not getattr(self, field):
                raise ValueError(f"{field} must name a column of the source, got {getattr(self, field)!r}")


class CatalogueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The catalogue beside a CSV or Parquet history, in the same format: its path and the names of its columns.

    Attributes:
        path: a file; empty = no catalogue, items then have no titles.
        item_id, title, categories, year: names of columns; an empty one is absent.
        category_separator: between the categories of an item, where they are one text.
    """

    path: str = ""
    item_id: str = "item_id"
    title: str = "title"
    categories: str = "categories"
    year: str = ""
    category_separator: str = "|"


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The imported past: where it is, and its first and last month (`YYYY-MM`, both included).

    Attributes:
        source: `movielens` (built in; ratings after the last month are replayed as events), `csv` or `parquet`.
        path: a file or a folder of files; CSV may be compressed (`.gz`).
        delimiter: between the values of a CSV row.
        columns: names of the source's columns.
        catalogue: the items' titles and categories.
        first_month, last_month: both empty = as in the source, found out by `recommender init-tables`.
    """

    source: Literal["movielens", "csv", "parquet"] = "movielens"
    path: str = ""
    delimiter: str = ","
    columns: HistoryColumns = HistoryColumns()
    catalogue: CatalogueSettings = CatalogueSettings()
    first_month: str = "1995-01"
    last_month: str = "2014-12"

    def __post_init__(self) -> None:
        if (self.source == "movielens") == bool(self.path):
            needed = "must be empty for source movielens" if self.path else f"is required for source {self.source}"
            raise ValueError(f"path {needed}, got {self.path!r}")
        if not self.first_month and not self.last_month and self.source != "movielens":
            return
        for field, value in (("first_month", self.first_month), ("last_month", self.last_month)):
            _month_start(field, value)
        if self.first_month > self.last_month:
            raise ValueError(f"first_month {self.first_month} is later than last_month {self.last_month}")

    @property
    def start(self) -> dt.datetime:
        """First instant of the first month, UTC."""
        return _month_start("first_month", self.first_month)

    @property
    def end(self) -> dt.datetime:
        """First instant after the last month, UTC."""
        last = _month_start("last_month", self.last_month)
        return (last + dt.timedelta(days=32)).replace(day=1)
