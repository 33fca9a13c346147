"""Takes the lists that forgotten users were served out of `recommendation_log` and `rejected_lists`."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recommender_assets.ingestion.raw_users import users_of_record
from recommender_assets.ingestion.rewriting import Change, rewrite_files
from recommender_assets.ingestion.schemas import TableName
from recommender_assets.ingestion.tables import read_table, table_path


def erase_lists(root: Path) -> tuple[int, int]:
    """Remove what was served to users on the list of the forgotten before they were forgotten; returns rows and files.

    Lists that reach the table later go at the next call.

    Raises:
        CommitFailedError: another writer changed the same files; call again.
    """
    forgotten = read_table(root, "forgotten_users", ["user_id", "forgotten_at"])
    if not forgotten.num_rows:
        return 0, 0
    latest = forgotten.group_by("user_id").aggregate([("forgotten_at", "max")])
    users, moments = latest["user_id"].combine_chunks(), latest["forgotten_at_max"].combine_chunks()
    moment_of: dict[str, dt.datetime] = dict(zip(users.to_pylist(), moments.to_pylist(), strict=True))

    def without_their_lists(rows: pa.Table) -> pa.Table:
        forgotten_at = moments.take(pc.index_in(rows["user_id"].combine_chunks(), value_set=users))
        is_later = pc.greater(rows["served_at"], forgotten_at)
        return rows.filter(pc.fill_null(is_later, True))

    def without_their_records(rows: pa.Table) -> pa.Table:
        return rows.filter(pa.array([not _is_before(row, moment_of) for row in rows.to_pylist()], pa.bool_()))

    is_theirs = pc.field("user_id").isin(users)
    lists = _rewrite(root, "recommendation_log", is_theirs, without_their_lists)
    records = _rewrite(root, "rejected_lists", pc.scalar(True), without_their_records)
    return lists[0] + records[0], lists[1] + records[1]


def _is_before(row: Mapping[str, object], moment_of: Mapping[str, dt.datetime]) -> bool:
    named = users_of_record(row["key"], row["value"], moment_of.keys())  # type: ignore[arg-type]
    return any(row["kafka_timestamp"] <= moment_of[user] for user in named)  # type: ignore[operator]


def _rewrite(root: Path, name: TableName, condition: pc.Expression, change: Change) -> tuple[int, int]:
    table = DeltaTable(table_path(root, name))
    before = table.count()
    if not before:
        return 0, 0
    files = rewrite_files(root, name, table, condition, change)
    return before - (DeltaTable(table_path(root, name)).count() if files else before), files
