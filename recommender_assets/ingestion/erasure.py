"""Takes what users asked to forget out of the files: what `forgetting` hides from readers is gone afterwards.

The old files stay until VACUUM removes them (`maintenance.retention_hours`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction

from recommender_assets.ingestion.commits import remove_uncommitted
from recommender_assets.ingestion.forgetting import is_forgotten
from recommender_assets.ingestion.list_erasure import erase_lists
from recommender_assets.ingestion.raw_users import users_of_record, users_of_row
from recommender_assets.ingestion.removed_rows import POSITIONS, accepted_positions, rejected_positions, remove_rows
from recommender_assets.ingestion.rewriting import Change, rewrite_files
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import append_to_table, create_tables, open_dataset, read_table, table_path
from recommender_assets.settings import Settings
from recommender_serving.engine.forgotten_users import ForgottenUser, read_forgotten_users, write_forgotten_users

_PLACE = ["topic_id", "kafka_partition", "kafka_offset"]
_APPLICATION = "forgotten_users"
_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Erasure:
    """What was taken out: users that were new on the list, rows by table, and files that were replaced."""

    users: int = 0
    interactions: int = 0
    rejected_events: int = 0
    history: int = 0
    rejected_history: int = 0
    lists: int = 0
    files: int = 0

    def summary(self) -> str:
        """The figures in one sentence."""
        return (
            f"{self.users:,} users forgotten: {self.interactions:,} interactions, {self.rejected_events:,} rejected "
            f"records, {self.history:,} rows of the imported history and {self.rejected_history:,} of its rejected "
            f"rows, {self.lists:,} served lists removed, {self.files:,} files replaced"
        )


def erase_forgotten(settings: Settings) -> Erasure:
    """Remove the rows that lie before every `forget` that was not carried out yet.

    These are the user's rows of `interactions` before it, records of `rejected_events` that carry the user's id and
    stood before it, all that was imported of the user, and the lists that the user was served before. All users are
    handled in one rewrite of each table. The `forget` row itself stays: with `forgotten_users` it is what later imports
    are held against. The caller holds the writer lease.
    It may be killed at any point and repeated.
    """
    root = settings.root
    create_tables(root)
    remove_uncommitted(root)
    forgets = pending_forgets(root)
    files = accepted = rejected = 0
    if forgets.num_rows:
        positions = [_accepted_before(root, forgets), _rejected_before(root, forgets)]
        files = remove_rows(root, "forgotten", pa.concat_tables(positions))
        accepted, rejected = (part.num_rows for part in positions)
        append_to_table(table_path(root, "forgotten_users"), forgets)
    tell_service(root)
    history, rejected_history, more = erase_from_history(settings)
    lists, list_files = erase_lists(root)
    return Erasure(
        users=len(pc.unique(forgets["user_id"])),
        interactions=accepted,
        rejected_events=rejected,
        history=history,
        rejected_history=rejected_history,
        lists=lists,
        files=files + more + list_files,
    )


def pending_forgets(root: Path) -> pa.Table:
    """Forgets in `interactions` that are not in `forgotten_users`, in the columns of the latter."""
    columns = [*SCHEMAS["forgotten_users"].names[:-1], "ingested_at"]
    asked = read_table(root, "interactions", columns, pc.field("event_type") == "forget")
    asked = asked.rename_columns(SCHEMAS["forgotten_users"].names)
    done = read_table(root, "forgotten_users", _PLACE)
    return asked.join(done, _PLACE, join_type="left anti").select(asked.column_names) if done.num_rows else asked


def forgotten_users(root: Path) -> pa.Array:
    """Ids of all users whose forgetting was carried out, each once."""
    return pc.unique(read_table(root, "forgotten_users", ["user_id"])["user_id"])


def tell_service(root: Path) -> None:
    """Write the list where the service reads it, unless it is there already."""
    rows = read_table(root, "forgotten_users").sort_by([(name, "ascending") for name in _PLACE])
    columns = [rows[name].to_pylist() for name in SCHEMAS["forgotten_users"].names[:-1]]
    times = rows["forgotten_at"].cast(pa.int64()).to_pylist()
    users = [ForgottenUser(*entry) for entry in zip(*columns, times, strict=True)]
    if users and users != read_forgotten_users(root):
        write_forgotten_users(root, users)


def erase_from_history(settings: Settings) -> tuple[int, int, int]:
    """Remove everything imported of users on the list; returns rows, rejected rows and files that were replaced.

    The tables remember for how many entries of the list it was done.
    """
    root = settings.root
    entries, users = DeltaTable(table_path(root, "forgotten_users")).count(), forgotten_users(root)
    names, column = set(users.to_pylist()), settings.history.columns.user_id

    def without_users(rows: pa.Table) -> pa.Table:
        return rows.filter(pc.invert(pc.is_in(rows["user_id"], value_set=users)))

    def without_raw(rows: pa.Table) -> pa.Table:
        named = [bool(users_of_row(text, column, names)) for text in rows["source_row"].to_pylist()]
        return rows.filter(pa.array(named, pa.bool_()) if not named else pc.invert(pa.array(named)))

    removed = {
        "interaction_history": _rewritten(
            root, "interaction_history", pc.field("user_id").isin(users), without_users, entries
        ),
        "rejected_history": _rewritten(root, "rejected_history", pc.scalar(True), without_raw, entries),
    }
    return (
        removed["interaction_history"][0],
        removed["rejected_history"][0],
        sum(files for _, files in removed.values()),
    )


def _rewritten(root: Path, name: TableName, condition: pc.Expression, change: Change, entries: int) -> tuple[int, int]:
    """Rows and files that a change took out of a table, unless it was done for this state of the list already."""
    table = DeltaTable(table_path(root, name))
    if entries == (table.transaction_version(_APPLICATION) or 0):
        return 0, 0
    before = table.count()
    properties = CommitProperties(app_transactions=[Transaction(_APPLICATION, entries)])
    files = rewrite_files(root, name, table, condition, change, commit_properties=properties)
    return before - DeltaTable(table_path(root, name)).count(), files


def _accepted_before(root: Path, forgets: pa.Table) -> pa.Table:
    columns = ["user_id", "event_type", *_PLACE, "ingested_at"]
    rows = read_table(root, "interactions", columns, pc.field("user_id").isin(pc.unique(forgets["user_id"])))
    doomed = is_forgotten(rows) & pc.not_equal(rows["event_type"], "forget").to_numpy()
    return accepted_positions(rows.filter(pa.array(doomed)))


def _rejected_before(root: Path, forgets: pa.Table) -> pa.Table:
    """Rejected records that carry the id of a user and stood before a `forget` of theirs.

    In another partition than the `forget`'s, or another topic, a record stood before if it was ingested before.
    """
    of_user: dict[str, list[dict[str, object]]] = {}
    for forget in forgets.to_pylist():
        of_user.setdefault(forget["user_id"], []).append(forget)
    found = [POSITIONS.empty_table()]
    columns = ["key", "value", "reason", *_PLACE, "ingested_at"]
    for batch in open_dataset(root, "rejected_events").to_batches(columns=columns, batch_size=_BATCH_ROWS):
        doomed = np.zeros(batch.num_rows, np.bool_)
        raw = zip(batch.column("key").to_pylist(), batch.column("value").to_pylist(), strict=True)
        named = [users_of_record(key, value, of_user.keys()) for key, value in raw]
        for number, users in enumerate(named):
            if users:
                record = batch.slice(number, 1).to_pylist()[0]
                doomed[number] = any(_is_before(record, forget) for user in users for forget in of_user[user])
        found.append(rejected_positions(pa.Table.from_batches([batch]).filter(pa.array(doomed))))
    return pa.concat_tables(found)


def _is_before(record: dict[str, object], forget: dict[str, object]) -> bool:
    if all(record[name] == forget[name] for name in _PLACE[:2]):
        return bool(record["kafka_offset"] < forget["kafka_offset"])  # type: ignore[operator]
    return bool(record["ingested_at"] <= forget["forgotten_at"])  # type: ignore[operator]
