"""The table `promotion_decisions`: what became the champion, when, why, and on which figures; rows are only added."""

import datetime as dt
import uuid
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from recommender_assets.evaluation.interval import Interval
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import append_to_table, create_table, read_table, table_path
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.policy import Decision
from recommender_assets.promotion.standing import Standing, best_floor
from recommender_serving.engine.champion_pointer import ChampionPointer
from recommender_serving.engine.factor_model import Position

Kind = Literal["promotion", "refusal", "rollback", "live_rollback", "experiment"]
ROLLBACKS = frozenset({"rollback", "live_rollback"})
CONTESTS = frozenset({"promotion", "refusal"})

_TABLE: Literal["promotion_decisions"] = "promotion_decisions"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A metric's value, both ends of its interval over users, and the floor that is hardest to beat."""

    value: float
    low: float | None = None
    high: float | None = None
    floor: float | None = None


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a contest: its figures, and for a candidate what the policy said about it.

    Attributes:
        role: `candidate` or `champion`.
        objections: why it may not become champion.
        gain: of the primary metric over the champion, paired by user.
    """

    version: str
    algorithm: str
    role: Literal["candidate", "champion"]
    objections: tuple[str, ...] = ()
    gain: Interval | None = None
    metrics: dict[str, Figure] = {}


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table.

    Attributes:
        kind: a contest ends in a `promotion` or a `refusal`; `rollback` is a person's, `live_rollback` a guardrail's;
            `experiment`: the variant that won one became champion.
        champion: in force afterwards, None if there is still none.
        predecessor: in force before.
        deployed: algorithm -> version of the models that are kept alive afterwards.
        metric: the primary metric.
        confidence, hold_out_share, hold_out, interactions, position: of the contest, see `Contest`.
        contenders: of the contest.
    """

    decision_id: str
    decided_at: dt.datetime
    kind: Kind
    champion: str | None
    predecessor: str | None
    reason: str
    deployed: dict[str, str] = {}
    metric: str | None = None
    confidence: float | None = None
    hold_out_share: float | None = None
    hold_out: int | None = None
    interactions: int | None = None
    position: Position | None = None
    contenders: tuple[Contender, ...] = ()


def row_of_contest(contest: Contest, decision: Decision, metric: str, pointer: ChampionPointer | None) -> DecisionRow:
    """The row of a decision on a contest; `pointer` is in force after it."""
    return DecisionRow(
        decision_id=uuid.uuid4().hex,
        decided_at=dt.datetime.now(dt.UTC),
        kind="promotion" if decision.promoted else "refusal",
        champion=decision.champion,
        predecessor=contest.champion_version,
        reason=decision.reason,
        deployed=pointer.deployed if pointer else {},
        metric=metric,
        confidence=contest.confidence,
        hold_out_share=contest.hold_out_share,
        hold_out=contest.hold_out,
        interactions=contest.interactions,
        position=contest.position,
        contenders=tuple(_contenders(contest, decision)),
    )


def row_without_contest(
    kind: Literal["rollback", "live_rollback", "experiment"], pointer: ChampionPointer, predecessor: str, reason: str
) -> DecisionRow:
    """The row of a change from `predecessor` to what the pointer names now, for which no contest was held."""
    return DecisionRow(
        decision_id=uuid.uuid4().hex,
        decided_at=dt.datetime.now(dt.UTC),
        kind=kind,
        champion=pointer.version,
        predecessor=predecessor,
        reason=reason,
        deployed=pointer.deployed,
    )


def append_decision(root: Path, row: DecisionRow) -> None:
    """Add a row to the table, which is created if it does not exist."""
    create_table(root, _TABLE)
    values = msgspec.to_builtins(row, builtin_types=(dt.datetime,))
    table = pa.Table.from_pylist([values], schema=SCHEMAS[_TABLE])
    append_to_table(table_path(root, _TABLE), table)


def read_decisions(root: Path) -> tuple[DecisionRow, ...]:
    """All rows, oldest first; none if the table does not exist."""
    try:
        table = DeltaTable(table_path(root, _TABLE))
    except TableNotFoundError:
        return ()
    return _read(root, str(table.metadata().id), int(table.version()))


def latest_decision(root: Path) -> DecisionRow | None:
    """The newest decision on a contest, None if there is none."""
    return next((row for row in reversed(read_decisions(root)) if row.kind in CONTESTS), None)


def rolled_back(rows: Iterable[DecisionRow]) -> dict[str, str]:
    """Version -> reason of the models that were rolled back and have not been put back by a rollback since."""
    found: dict[str, str] = {}
    for row in rows:
        if row.kind in ROLLBACKS:
            found.pop(row.champion or "", None)
            found[row.predecessor or ""] = row.reason
    return found


@lru_cache(maxsize=2)
def _read(root: Path, table_id: str, version: int) -> tuple[DecisionRow, ...]:
    del table_id  # tells tables apart that have lived under one path
    rows = read_table(root, _TABLE, version=version).sort_by("decided_at").to_pylist(maps_as_pydicts="strict")
    return tuple(msgspec.convert(row, DecisionRow) for row in rows)


def _contenders(contest: Contest, decision: Decision) -> Iterable[Contender]:
    verdicts = {verdict.version: verdict for verdict in decision.verdicts}
    for standing in contest.contenders:
        judged: dict[str, Any] = {}
        if verdict := verdicts.get(standing.version):
            judged = {"objections": verdict.objections, "gain": verdict.gain}
        yield Contender(
            version=standing.version,
            algorithm=standing.algorithm,
            role="candidate" if verdict else "champion",
            metrics={name: _figure(standing, name) for name in standing.metrics},
            **judged,
        )


def _figure(standing: Standing, metric: str) -> Figure:
    low, high = standing.intervals.get(metric, (None, None))
    floor = best_floor(standing, metric)
    return Figure(value=standing.metrics[metric], low=low, high=high, floor=floor[1] if floor else None)
