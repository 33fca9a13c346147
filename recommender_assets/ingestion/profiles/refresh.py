"""Bring `user_profiles` and `item_profiles` up to date at the cost of what changed since they were last written."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from recommender_assets.ingestion.profiles.changes import categories, changed_users
from recommender_assets.ingestion.profiles.coverage import Coverage
from recommender_assets.ingestion.profiles.item_changes import ItemChanges, apply_changes
from recommender_assets.ingestion.profiles.profile_rows import item_rows, user_rows
from recommender_assets.ingestion.profiles.profile_table import ProfileTable
from recommender_assets.ingestion.profiles.standing_events import EventsAsOf, StandingEvents
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.settings import Settings

_USERS_PER_PASS = 50_000  # bounds the memory: some 100 bytes for each of their events

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProfileRefresh:
    """What a refresh did.

    Attributes:
        users, items: number of profiles that were written or deleted.
        is_complete: whether all profiles were computed anew, instead of those that changed.
    """

    users: int = 0
    items: int = 0
    is_complete: bool = False


@dataclass(frozen=True)
class _Changes:
    user_ids: pa.Array
    user_rows: pa.Table
    items: ItemChanges
    is_complete: bool


def refresh_profiles(settings: Settings) -> ProfileRefresh:
    """Bring both tables up to what the event tables hold now.

    It may be killed at any point and repeated: what a table covers is in the commit that writes its rows.

    Raises:
        CommitFailedError: another refresh was faster, nothing is wrong.
    """
    create_tables(settings.root)
    users, items = ProfileTable(settings.root, "user_profiles"), ProfileTable(settings.root, "item_profiles")
    current = EventsAsOf(settings.root, Coverage.now(settings))
    if users.coverage == items.coverage:
        return _refresh(settings, [users, items], current)
    parts = [_refresh(settings, [table], current) for table in (users, items)]  # after a kill between two commits
    return ProfileRefresh(parts[0].users, parts[1].items, all(part.is_complete for part in parts))


def _refresh(settings: Settings, tables: Sequence[ProfileTable], current: EventsAsOf) -> ProfileRefresh:
    """Bring tables that cover the same up to date."""
    covered = tables[0].coverage
    if covered == current.coverage:
        return ProfileRefresh()
    changes = _changes(settings, covered, current)
    written = {table.name: _write(table, changes, current) for table in tables}
    return ProfileRefresh(written.get("user_profiles", 0), written.get("item_profiles", 0), changes.is_complete)


def _changes(settings: Settings, covered: Coverage | None, current: EventsAsOf) -> _Changes:
    if covered is not None and covered.definition == current.coverage.definition:
        former = EventsAsOf(settings.root, covered)
        try:
            return _changes_of(settings, changed_users(former, current), former, current)
        except (DeltaError, FileNotFoundError) as error:
            logger.warning("profiles are computed anew: what they were made from is gone (%s)", error)
    return _changes_of(settings, current.column("user_id"), None, current)


def _changes_of(settings: Settings, user_ids: pa.Array, former: EventsAsOf | None, current: EventsAsOf) -> _Changes:
    of_items = categories(settings.root, current.coverage.items)
    rows, items = [SCHEMAS["user_profiles"].empty_table()], [ItemChanges.none()]
    for start in range(0, len(user_ids), _USERS_PER_PASS):
        ids = user_ids.slice(start, _USERS_PER_PASS)
        after = StandingEvents(current.of("user_id", ids))
        before = StandingEvents(former.of("user_id", ids)) if former else after.none()
        rows.append(user_rows(after, of_items, settings.weights, settings.ratings))
        items.append(ItemChanges.between(before, after))
    return _Changes(user_ids, pa.concat_tables(rows), ItemChanges.together(items), is_complete=former is None)


def _write(table: ProfileTable, changes: _Changes, current: EventsAsOf) -> int:
    """Write what changed in one table; returns the number of profiles."""
    if table.key == "user_id":
        ids, rows = changes.user_ids, changes.user_rows
    else:
        ids = changes.items.item_ids()
        rows = _item_rows(
            SCHEMAS[table.name].empty_table() if changes.is_complete else table.rows(ids), changes, current
        )
    if changes.is_complete:
        table.replace(rows, current.coverage)
    else:
        table.update(ids, rows, current.coverage)
    return len(ids)


def _item_rows(former: pa.Table, changes: _Changes, current: EventsAsOf) -> pa.Table:
    rows, unusable = apply_changes(former, changes.items)
    if len(unusable):
        anew = item_rows(StandingEvents(current.of("item_id", unusable)))
        usable = rows.filter(pc.invert(pc.is_in(rows["item_id"], value_set=unusable)))
        rows = pa.concat_tables([usable, anew])
    return rows.filter(pc.field("interactions") > 0)
