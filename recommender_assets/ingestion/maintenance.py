"""Care of the tables: forgetting and retention carried out, small files merged, old files removed."""

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from recommender_assets.ingestion.commits import remove_uncommitted
from recommender_assets.ingestion.compaction import Compaction, compact
from recommender_assets.ingestion.erasure import Erasure, erase_forgotten, pending_forgets
from recommender_assets.ingestion.expiry import Expiry, expire
from recommender_assets.ingestion.profiles.refresh import refresh_profiles
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.ingestion.writer_lease import WriterLease
from recommender_assets.settings import Settings

_WAIT_S = 600.0  # a micro-batch may take minutes


@dataclass(frozen=True)
class TableCare:
    """What was done to one table: files merged and what they became, and old files removed."""

    merged: int
    written: int
    removed: int


@dataclass(frozen=True)
class Maintenance:
    """What was done, or in a dry run would be."""

    erasure: Erasure = field(default_factory=Erasure)
    expiry: Expiry = field(default_factory=Expiry)
    tables: dict[TableName, TableCare] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One line for each thing that was done."""
        expired = ", ".join(f"{count:,} {name}" for name, count in asdict(self.expiry).items())
        care = [
            f"{name}: {care.merged} files merged into {care.written}, {care.removed} old files removed"
            for name, care in self.tables.items()
        ]
        return [self.erasure.summary(), f"expired: {expired}", *care]


def maintain(settings: Settings, tell: Callable[[str], None] = lambda _: None, *, dry_run: bool = False) -> Maintenance:
    """Do everything that is due, under the writer lease; `recommender stream` gives way for it.

    Args:
        settings: section `maintenance`, and where the tables are.
        tell: takes a line when a step begins.
        dry_run: only say what would be done, without the lease.

    Raises:
        WriterBusyError: another process writes the tables and does not give way.
    """
    create_tables(settings.root)
    if dry_run:
        due = Erasure(users=pending_forgets(settings.root).num_rows)
        return Maintenance(due, _expire(settings, dry_run=True), _care(settings, tell, dry_run=True))
    with WriterLease(settings.root, "maintenance", wait_s=_WAIT_S):
        remove_uncommitted(settings.root)
        tell("removing rows of forgotten users")
        erasure = erase_forgotten(settings)
        tell("removing expired rows")
        expiry = _expire(settings, dry_run=False)
        tell("bringing the profiles up to date")  # from versions whose files may go next
        refresh_profiles(settings)
        return Maintenance(erasure, expiry, _care(settings, tell, dry_run=False))


def _expire(settings: Settings, *, dry_run: bool) -> Expiry:
    days = settings.maintenance.keep_interactions_days
    if not days:
        return Expiry()
    return expire(settings.root, dt.datetime.now(dt.UTC) - dt.timedelta(days=days), dry_run=dry_run)


def _care(settings: Settings, tell: Callable[[str], None], *, dry_run: bool) -> dict[TableName, TableCare]:
    care: dict[TableName, TableCare] = {}
    for name in SCHEMAS:
        tell(f"table {name}")
        try:
            compaction = compact(settings.root, name, dry_run=dry_run)
        except CommitFailedError as conflict:  # an import or a refresh of profiles was faster; the next run does it
            tell(f"table {name} was changed meanwhile: {conflict}")
            compaction = Compaction()
        table = DeltaTable(table_path(settings.root, name))
        removed = table.vacuum(
            settings.maintenance.retention_hours, dry_run=dry_run, enforce_retention_duration=False, full=True
        )
        if not dry_run:
            table.create_checkpoint()
            table.cleanup_metadata()
        care[name] = TableCare(compaction.merged, compaction.written, len(removed))
    return care
