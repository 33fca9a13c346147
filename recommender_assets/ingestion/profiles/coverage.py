"""Up to where the profile tables cover the events: recorded in the very commit that writes the profiles."""

from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Self

import msgspec
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction

from recommender_assets.ingestion.tables import read_table, table_version
from recommender_assets.settings import Settings

_APPLICATION = "profiles:"
_DEFINITION = 1
"""Raised when rows of equal events would look different: the tables are then computed anew."""


@dataclass(frozen=True)
class Coverage:
    """Versions of the tables that profiles are made from, and how much of `interactions` counts.

    Attributes:
        interactions, interaction_history, items: Delta versions.
        ledger_us: commit time of the last ledger row, UTC microseconds; rows beyond the ledger's ranges up to then do
            not count. The ledger is read first, because it is written last.
        definition: stands for the weights, the rating scale and the form of a profile.
    """

    interactions: int
    interaction_history: int
    items: int
    ledger_us: int
    definition: int

    @classmethod
    def now(cls, settings: Settings) -> Self:
        """Everything that is in the tables."""
        root = settings.root
        committed = pc.max(read_table(root, "ingestion_ledger", ["committed_at"])["committed_at"]).as_py()
        rules = msgspec.json.encode([_DEFINITION, settings.weights, settings.ratings])
        return cls(
            ledger_us=0 if committed is None else round(committed.timestamp() * 1_000_000),
            interactions=table_version(root, "interactions") or 0,
            interaction_history=table_version(root, "interaction_history") or 0,
            items=table_version(root, "items") or 0,
            definition=int.from_bytes(blake2b(rules, digest_size=8).digest(), "big") >> 1,
        )

    @classmethod
    def of_table(cls, table: DeltaTable) -> Self | None:
        """What a version of a profile table covers; None before it was first computed."""
        found = {field: table.transaction_version(_APPLICATION + field) for field in cls.__dataclass_fields__}
        return None if None in found.values() else cls(**{field: value or 0 for field, value in found.items()})

    def commit_properties(self) -> CommitProperties:
        """Records this coverage in a commit; of two writers with one former coverage the second one fails."""
        transactions = [Transaction(_APPLICATION + field, value) for field, value in asdict(self).items()]
        return CommitProperties(app_transactions=transactions)
