from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from recommender_assets.ingestion.profiles.coverage import Coverage
from recommender_assets.ingestion.rewriting import rewrite_files
from recommender_assets.ingestion.schemas import ProfileTableName
from recommender_assets.ingestion.tables import read_table, replace_in_table, table_path

Key = Literal["user_id", "item_id"]
KEYS: dict[ProfileTableName, Key] = {"user_profiles": "user_id", "item_profiles": "item_id"}


class ProfileTable:
    """One version of a profile table, and the only writer that may follow it.

    What is written is committed together with what it covers. If another refresh commits first, the commit fails, so
    that changes are never added to rows that hold them already.
    """

    def __init__(self, root: Path, name: ProfileTableName) -> None:
        self._root = root
        self.name = name
        self.key = KEYS[name]
        self._table = DeltaTable(table_path(root, name))
        self.coverage = Coverage.of_table(self._table)

    def rows(self, ids: pa.Array) -> pa.Table:
        """The profiles of some users or items; those without one are left out."""
        return read_table(
            self._root, self.name, condition=pc.field(self.key).isin(ids), version=int(self._table.version())
        )

    def replace(self, rows: pa.Table, coverage: Coverage) -> None:
        """Write all profiles anew."""
        replace_in_table(self._table, rows, commit_properties=coverage.commit_properties())

    def update(self, ids: pa.Array, rows: pa.Table, coverage: Coverage) -> None:
        """Write the profiles of `ids`; one without a row is deleted."""
        is_changed = pc.field(self.key).isin(ids)
        rewrite_files(
            self._root,
            self.name,
            self._table,
            is_changed,
            lambda former: former.filter(~is_changed),
            added=rows,
            commit_properties=coverage.commit_properties(),
        )
