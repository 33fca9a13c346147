"""Whose events changed between two coverages, found without reading what both have in common.

Appended, deleted, replaced, re-read and forgotten rows look alike here: they are in files that only one of two
versions has. Files that were merely rewritten hold the same rows and cancel out.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from recommender_assets.ingestion.profiles.standing_events import EventsAsOf, distinct
from recommender_assets.ingestion.tables import open_dataset, read_table

_RECORD = ["user_id", "topic_id", "kafka_partition", "kafka_offset"]
_EVENT = ["user_id", "event_key", "timestamp"]


def changed_users(former: EventsAsOf, current: EventsAsOf) -> pa.Array:
    """Ids of users with an event that only one of the two coverages counts, or whose items changed their categories."""
    return pc.unique(
        pa.chunked_array([_of_interactions(former, current), _of_history(former, current), _of_items(former, current)])
    ).cast(pa.string())


def signed_difference(before: pa.Table, after: pa.Table) -> pa.Table:
    """Distinct rows that one table holds more often than the other; `sign` is how much more often `after` does."""
    columns = before.column_names
    both = pa.concat_tables(
        [
            table.append_column("sign", pa.array(np.full(table.num_rows, sign)))
            for table, sign in ((before, -1), (after, 1))
        ]
    )
    counts = both.group_by(columns).aggregate([("sign", "sum")]).rename_columns([*columns, "sign"])
    return counts.filter(pc.field("sign") != 0)


def _of_interactions(former: EventsAsOf, current: EventsAsOf) -> pa.Array:
    root, versions = current.root, (former.coverage.interactions, current.coverage.interactions)
    old, new = (open_dataset(root, "interactions", version) for version in versions)
    # A file that both versions have may hold rows that were not yet in the ledger then.
    changed = (_paths(old) ^ _paths(new)) | _paths(new, current.is_newer(former))
    before = _rows(old, changed, _RECORD, former.is_committed)
    after = _rows(new, changed, _RECORD, current.is_committed)
    return distinct(signed_difference(before, after)["user_id"])


def _of_history(former: EventsAsOf, current: EventsAsOf) -> pa.Array:
    versions = former.coverage.interaction_history, current.coverage.interaction_history
    old, new = (open_dataset(current.root, "interaction_history", version) for version in versions)
    changed = _paths(old) ^ _paths(new)
    before, after = (_rows(dataset, changed, _EVENT, None) for dataset in (old, new))
    return distinct(signed_difference(before, after)["user_id"])


def _of_items(former: EventsAsOf, current: EventsAsOf) -> pa.Array:
    if former.coverage.items == current.coverage.items:
        return pa.array([], pa.string())
    before, after = (categories(current.root, events.coverage.items) for events in (former, current))
    items = [item for item in before.keys() | after.keys() if before.get(item) != after.get(item)]
    if not items:
        return pa.array([], pa.string())
    return current.column("user_id", pc.field("item_id").isin(pa.array(items, pa.string())))


def categories(root: Path, version: int) -> dict[str, list[str]]:
    """Item id -> categories, each once, of one version of the catalogue."""
    items = read_table(root, "items", ["item_id", "categories"], version=version)
    names = [list(dict.fromkeys(of_item or [])) for of_item in items["categories"].to_pylist()]
    return dict(zip(items["item_id"].to_pylist(), names, strict=True))


def _paths(dataset: ds.FileSystemDataset, condition: pc.Expression | None = None) -> set[str]:
    """Files of a dataset; with a condition those that may hold such rows, by their statistics."""
    return {fragment.path for fragment in dataset.get_fragments(filter=condition)}


def _rows(
    dataset: ds.FileSystemDataset, paths: set[str], columns: list[str], condition: pc.Expression | None
) -> pa.Table:
    fragments = [fragment for fragment in dataset.get_fragments() if fragment.path in paths]
    part = ds.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)
    return part.to_table(columns=columns, filter=condition)
