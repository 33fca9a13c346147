import datetime as dt
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_assets.evaluation.interval import Interval
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.promotion.decisions import (
    Contender,
    DecisionRow,
    Figure,
    append_decision,
    latest_decision,
    read_decisions,
    rolled_back,
    row_of_contest,
    row_without_contest,
)
from recommender_assets.promotion.policy import decide
from recommender_assets.settings import PromotionSettings
from recommender_serving.engine.champion_pointer import ChampionPointer
from recommender_serving.engine.factor_model import Position
from tests.contests import contest, standing

POSITION = Position(table_versions={"items": 3}, topic="events", topic_id="t", next_offsets={"0": 7, "1": 9})


def pointer(version: str, **deployed: str) -> ChampionPointer:
    return ChampionPointer(version=version, predecessor=None, deployed=deployed, promoted_at="2026-01-01T00:00:00Z")


def contest_row(**figures: float) -> DecisionRow:
    """The row of a contest that svd-2 wins over svd-1, and nmf-2 does not."""
    champion = standing("svd-1", 0.87)
    candidates = [standing("svd-2", 0.86, **figures), standing("nmf-2", 0.90)]
    held = contest(candidates, champion, half_width=0.002, position=POSITION)
    decision = decide(held, PromotionSettings())
    return row_of_contest(held, decision, "rmse", pointer("svd-2", svd="svd-2", nmf="nmf-2"))


def row(kind: str, champion: str, predecessor: str, reason: str = "", minute: int = 0) -> DecisionRow:
    decided_at = dt.datetime(2026, 1, 1, 0, minute, tzinfo=dt.UTC)
    return msgspec.convert(
        {
            "decision_id": f"{minute}",
            "decided_at": decided_at,
            "kind": kind,
            "champion": champion,
            "predecessor": predecessor,
            "reason": reason,
        },
        DecisionRow,
    )


def test_before_the_first_decision_there_is_none(tmp_path: Path) -> None:
    assert read_decisions(tmp_path) == ()
    assert latest_decision(tmp_path) is None
    create_tables(tmp_path)
    assert read_decisions(tmp_path) == ()


def test_a_row_explains_its_decision_with_all_numbers(tmp_path: Path) -> None:
    written = contest_row()
    append_decision(tmp_path, written)
    (found,) = read_decisions(tmp_path)
    assert found == written
    assert (found.kind, found.champion, found.predecessor) == ("promotion", "svd-2", "svd-1")
    assert found.deployed == {"svd": "svd-2", "nmf": "nmf-2"}
    assert (found.metric, found.confidence, found.hold_out_share, found.hold_out) == ("rmse", 0.95, 0.1, 10)
    assert found.position == POSITION
    assert {c.version: c.role for c in found.contenders} == {
        "svd-2": "candidate",
        "nmf-2": "candidate",
        "svd-1": "champion",
    }
    winner, loser, champion = found.contenders
    assert winner.metrics["rmse"] == Figure(value=0.86, floor=0.98)
    assert winner.gain is not None
    assert winner.gain.low == pytest.approx(0.008)
    assert "gains -0.0300" in loser.objections[0]
    assert (champion.gain, champion.objections) == (None, ())


def test_the_table_is_what_the_schema_says(tmp_path: Path) -> None:
    append_decision(tmp_path, contest_row())
    append_decision(tmp_path, row_without_contest("rollback", pointer("svd-1", svd="svd-1"), "svd-2", "wrong"))
    table = read_table(tmp_path, "promotion_decisions")
    assert table.schema == SCHEMAS["promotion_decisions"]
    assert sorted(table["kind"].to_pylist()) == ["promotion", "rollback"]


def test_rows_are_only_added_and_come_in_their_order(tmp_path: Path) -> None:
    later, earlier = row("promotion", "svd-2", "svd-1", minute=2), row("promotion", "svd-1", "", minute=1)
    append_decision(tmp_path, later)
    assert read_decisions(tmp_path) == (later,)
    append_decision(tmp_path, earlier)
    assert read_decisions(tmp_path) == (earlier, later)
    assert latest_decision(tmp_path) == later


def test_a_rollback_is_no_decision_on_a_contest(tmp_path: Path) -> None:
    promoted = contest_row()
    append_decision(tmp_path, promoted)
    append_decision(tmp_path, row_without_contest("live_rollback", pointer("svd-1"), "svd-2", "errors"))
    assert latest_decision(tmp_path) == promoted
    assert read_decisions(tmp_path)[-1].kind == "live_rollback"


def test_a_table_made_anew_is_read_anew(tmp_path: Path) -> None:
    root = tmp_path / "data"
    append_decision(root, row("promotion", "svd-1", ""))
    assert len(read_decisions(root)) == 1
    root.rename(tmp_path / "old")
    append_decision(root, row("promotion", "svd-9", ""))
    assert [found.champion for found in read_decisions(root)] == ["svd-9"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {}),
        ([("promotion", "svd-2", "svd-1")], {}),
        ([("rollback", "svd-1", "svd-2")], {"svd-2": "0"}),
        ([("rollback", "svd-1", "svd-2"), ("rollback", "svd-2", "svd-1")], {"svd-1": "1"}),
        ([("live_rollback", "svd-1", "svd-2"), ("promotion", "svd-3", "svd-1")], {"svd-2": "0"}),
        (
            [("rollback", "svd-1", "svd-2"), ("promotion", "svd-3", "svd-1"), ("rollback", "svd-1", "svd-3")],
            {"svd-2": "0", "svd-3": "2"},
        ),
    ],
)
def test_rolled_back_is_what_a_rollback_left_until_a_rollback_returns_to_it(
    rows: list[tuple[str, str, str]], expected: dict[str, str]
) -> None:
    made = [row(kind, champion, before, str(i), i) for i, (kind, champion, before) in enumerate(rows)]
    assert rolled_back(made) == expected


numbers = st.floats(allow_nan=False, allow_infinity=False)
intervals = st.builds(Interval, numbers, numbers, numbers)
figures = st.builds(Figure, value=numbers, low=st.none() | numbers, high=st.none() | numbers, floor=st.none() | numbers)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
contenders = st.builds(
    Contender,
    version=texts,
    algorithm=st.sampled_from(["svd", "nmf"]),
    role=st.sampled_from(["candidate", "champion"]),
    objections=st.lists(texts, max_size=2).map(tuple),
    gain=st.none() | intervals,
    metrics=st.dictionaries(texts, figures, max_size=3),
)
rows = st.builds(
    DecisionRow,
    decision_id=texts,
    decided_at=st.integers(0, 2**51).map(
        lambda us: dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us)
    ),
    kind=st.sampled_from(["promotion", "refusal", "rollback", "live_rollback"]),
    champion=st.none() | texts,
    predecessor=st.none() | texts,
    reason=texts,
    deployed=st.dictionaries(texts, texts, max_size=2),
    metric=st.none() | texts,
    hold_out=st.none() | st.integers(0, 2**62),
    position=st.none() | st.just(POSITION),
    contenders=st.lists(contenders, max_size=3).map(tuple),
)


@settings(max_examples=25)
@given(row=rows)
def test_any_row_survives_the_table(row: DecisionRow) -> None:
    with tempfile.TemporaryDirectory() as folder:
        append_decision(Path(folder), row)
        assert read_decisions(Path(folder)) == (row,)
