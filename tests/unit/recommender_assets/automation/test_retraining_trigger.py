from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.automation.backoff import Attempts
from recommender_assets.automation.retraining_trigger import (
    LatestDecision,
    RetrainingCursor,
    accepted_since,
    decide_retraining,
    follow_data,
)
from recommender_assets.automation.sensor_cursor import read_cursor
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path, table_version
from recommender_assets.settings import TrainingSettings

DECIDED = LatestDecision(decided_at="2026-01-01T00:00:00+00:00", topic_id="t1", interactions=10_000)
DECIDED_AT = 1_767_225_600.0
RULES = TrainingSettings()


def ledger(*rows: tuple[str, int, int, int]) -> pa.Table:
    names = ("topic_id", "kafka_partition", "to_offset", "accepted")
    types = (pa.string(), pa.int32(), pa.int64(), pa.int64())
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
    return pa.table(dict(zip(names, columns, strict=True)))


LEDGER = ledger(("t0", 0, 90, 1_000), ("t1", 0, 6, 5), ("t1", 0, 9, 2), ("t1", 1, 30, 30), ("t2", 0, 400, 400))


def counted(accepted: int, attempts: Attempts | None = None) -> RetrainingCursor:
    return RetrainingCursor(decided_at=DECIDED.decided_at, accepted=accepted, attempts=attempts or Attempts())


@pytest.mark.parametrize(
    ("topic_id", "next_offsets", "expected"),
    [
        ("", {}, 1_437),
        ("t1", {"0": 6, "1": 30}, 402),
        ("t1", {"0": 6}, 432),
        ("t2", {"0": 400}, 0),
        ("t2", {}, 400),
        ("another", {}, 1_437),
    ],
    ids=["no position", "within a topic", "a new partition", "the newest topic", "its start", "a foreign position"],
)
def test_interactions_after_a_position_are_counted(topic_id: str, next_offsets: dict[str, int], expected: int) -> None:
    assert accepted_since(LEDGER, topic_id, next_offsets) == expected


@given(
    batches=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(0, 9)), max_size=25),
    cut=st.integers(0, 25),
)
def test_each_accepted_interaction_counts_before_or_after_a_position(
    batches: list[tuple[int, int, int]], cut: int
) -> None:
    ends: dict[str, int] = {}
    rows, position, after = [], {}, 0
    for number, (partition, length, valid) in enumerate(batches):
        ends[str(partition)] = ends.get(str(partition), 0) + length
        rows.append(("t", partition, ends[str(partition)], min(valid, length)))
        if number < cut:
            position = dict(ends)
        else:
            after += min(valid, length)
    assert accepted_since(ledger(*rows), "t", position) == after
    assert accepted_since(ledger(*rows), "t", ends) == 0


@pytest.mark.parametrize(
    ("rules", "accepted", "age", "reason"),
    [
        ({}, 1_000, 0, "1000 new interactions"),
        ({}, 999, 1e9, None),
        ({"retrain_after_interactions": 0, "retrain_after_share": 0.05}, 500, 0, "are 5.0% of the training set"),
        ({"retrain_after_interactions": 0, "retrain_after_share": 0.05}, 499, 1e9, None),
        ({"retrain_after_seconds": 3_600}, 1, 3_600, "3600 s old, and 1 interactions are new"),
        ({"retrain_after_seconds": 3_600}, 1, 3_599, None),
        ({"retrain_after_seconds": 3_600}, 0, 1e9, None),
    ],
    ids=str,
)
def test_count_share_or_age_asks_for_training(
    rules: dict[str, float], accepted: int, age: float, reason: str | None
) -> None:
    settings = msgspec.convert(rules, TrainingSettings)
    outcome = decide_retraining(counted(accepted), DECIDED, settings, DECIDED_AT + age)
    assert (outcome.skip is None) == (reason is not None), outcome.skip
    assert (reason or "") in outcome.reason


def test_without_a_decision_one_interaction_is_enough() -> None:
    assert decide_retraining(RetrainingCursor(accepted=1), None, RULES, 0.0).skip is None
    assert decide_retraining(RetrainingCursor(), None, RULES, 0.0).skip == "no new interactions"


def test_a_skip_says_how_far_every_rule_is() -> None:
    rules = TrainingSettings(retrain_after_share=0.2, retrain_after_seconds=60)
    outcome = decide_retraining(counted(999), DECIDED, rules, DECIDED_AT + 5)
    assert outcome.skip == (
        "999 of 1000 new interactions; 10.0% of the training set is new, 20.0% is needed; latest decision 5 of 60 s old"
    )


def test_a_failed_run_is_repeated_with_growing_pauses_and_then_waits_for_a_person() -> None:
    cursor, requests, last = counted(2_000), [], ""
    for now in range(0, 10_000, 5):
        outcome = decide_retraining(cursor, DECIDED, RULES, float(now))
        cursor, last = outcome.cursor, outcome.skip or ""
        requests += [now] if outcome.skip is None else []
    assert requests == [0, 30, 90, 210, 450]
    assert "5 runs led to no decision: waits for a person" in last


def test_a_decision_ends_the_pause_and_the_waiting() -> None:
    tired = Attempts(mark=DECIDED.decided_at, count=5, requested_at=0.0)
    assert decide_retraining(counted(2_000, tired), DECIDED, RULES, 1e6).skip is not None
    later = msgspec.structs.replace(DECIDED, decided_at="2026-01-02T00:00:00+00:00")
    cursor = msgspec.structs.replace(counted(2_000, tired), decided_at=later.decided_at)
    assert decide_retraining(cursor, later, RULES, 1e6).skip is None


def test_below_the_threshold_the_requests_made_so_far_are_kept() -> None:
    attempts = Attempts(mark="p", count=2, requested_at=5.0)
    assert decide_retraining(counted(3, attempts), DECIDED, RULES, DECIDED_AT).cursor.attempts == attempts


@pytest.mark.parametrize("cursor", [None, "", "17", '{"accepted": "many"}'])
def test_a_foreign_cursor_starts_afresh(cursor: str | None) -> None:
    assert read_cursor(cursor, RetrainingCursor) == RetrainingCursor()


def test_the_cursor_survives_its_encoding() -> None:
    cursor = counted(7, Attempts(mark="m", count=3, requested_at=2.5))
    assert read_cursor(msgspec.json.encode(cursor).decode(), RetrainingCursor) == cursor


def test_the_ledger_is_added_up_without_reading_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_tables(tmp_path)
    append_rows(tmp_path, "events", "t1", [LedgerRow(0, 0, 10, accepted=10)])
    append_rows(tmp_path, "events", "t1", [LedgerRow(0, 10, 15, accepted=4, rejected=1)])
    latest = msgspec.structs.replace(DECIDED, next_offsets={"0": 10})
    cursor = follow_data(tmp_path, "events", latest, RetrainingCursor())
    assert cursor.accepted == 4

    reads: list[int] = []
    monkeypatch.setattr("recommender_assets.automation.ledger_news.read_table", counting(reads))
    assert follow_data(tmp_path, "events", latest, cursor) == cursor
    assert reads == []
    append_rows(tmp_path, "events", "t1", [LedgerRow(0, 15, 20, accepted=5)])
    cursor = follow_data(tmp_path, "events", latest, cursor)
    assert (cursor.accepted, reads) == (9, [2]), "the new row, and the last one that was seen"
    decided_again = msgspec.structs.replace(latest, decided_at="2026-01-02T00:00:00+00:00", next_offsets={"0": 20})
    assert follow_data(tmp_path, "events", decided_again, cursor).accepted == 0
    assert follow_data(tmp_path, "events", None, RetrainingCursor()).accepted == 19


def counting(reads: list[int]) -> object:
    """`read_table` that notes how many rows each call returned."""
    from recommender_assets.ingestion.tables import read_table

    def read(*args: object, **named: object) -> pa.Table:
        rows = read_table(*args, **named)  # type: ignore[arg-type]
        reads.append(rows.num_rows)
        return rows

    return read


def imported(rows: int, decided_at: str = "", accepted: int = 0) -> RetrainingCursor:
    return RetrainingCursor(decided_at=decided_at, accepted=accepted, imported=rows, imported_at=1_000.0)


@pytest.mark.parametrize(("age", "wanted"), [(0.0, False), (59.9, False), (60.0, True), (86_400.0, True)])
def test_a_history_without_events_is_trained_on_when_its_import_is_over(age: float, *, wanted: bool) -> None:
    found = decide_retraining(imported(500), None, RULES, 1_000.0 + age)
    if wanted:
        assert (found.skip, found.reason) == (None, "500 interactions and no promotion decision yet")
    else:
        wait = f"500 interactions were imported: they count in {60 - age:.0f} s unless more follow"
        assert found.skip == f"{wait}; no new interactions"


def test_the_first_event_does_not_wait_for_the_end_of_an_import() -> None:
    found = decide_retraining(imported(500, accepted=1), None, RULES, 1_001.0)
    assert found.reason == "1 interactions and no promotion decision yet"


def test_training_on_a_history_that_keeps_failing_waits_for_a_person() -> None:
    cursor, requests, now = imported(500), 0, 1_100.0
    for _ in range(20):
        found = decide_retraining(cursor, None, RULES, now)
        cursor, requests, now = found.cursor, requests + (found.skip is None), now + 3_600
    assert requests == RULES.retrain_attempts
    assert "waits for a person" in (found.skip or "")


@pytest.mark.parametrize(
    ("rows", "accepted", "wanted"),
    [(1_000, 0, True), (600, 400, True), (600, 399, False), (0, 999, False)],
)
def test_imported_and_accepted_interactions_count_together_after_a_decision(
    rows: int, accepted: int, *, wanted: bool
) -> None:
    found = decide_retraining(imported(rows, DECIDED.decided_at, accepted), DECIDED, RULES, DECIDED_AT)
    assert (found.skip is None) == wanted, found.skip
    assert (found.reason or found.skip or "").startswith(str(rows + accepted))


def test_an_import_that_may_go_on_counts_for_nothing_yet() -> None:
    cursor = msgspec.structs.replace(imported(5_000, DECIDED.decided_at, 3), imported_at=DECIDED_AT)
    assert decide_retraining(cursor, DECIDED, RULES, DECIDED_AT + 20).skip == (
        "5000 interactions were imported: they count in 40 s unless more follow; 3 of 1000 new interactions"
    )
    assert decide_retraining(cursor, DECIDED, RULES, DECIDED_AT + 60).skip is None


def append_history(root: Path, count: int) -> int:
    """Add rows to the imported history; returns the table's version."""
    schema = SCHEMAS["interaction_history"]
    rows = pa.table({field.name: pa.nulls(count, field.type) for field in schema}, schema=schema)
    write_deltalake(table_path(root, "interaction_history"), rows, mode="append")
    return table_version(root, "interaction_history") or 0


def test_rows_of_the_history_count_from_the_version_that_was_learned_from(tmp_path: Path) -> None:
    create_tables(tmp_path)
    learned_from = append_history(tmp_path, 5)
    latest = msgspec.structs.replace(DECIDED, history_version=learned_from)
    cursor = follow_data(tmp_path, "events", latest, RetrainingCursor())
    assert (cursor.learned, cursor.imported) == (5, 0)
    append_history(tmp_path, 3)
    grown = append_history(tmp_path, 4)
    cursor = follow_data(tmp_path, "events", latest, cursor)
    assert (cursor.learned, cursor.imported) == (5, 7)
    assert follow_data(tmp_path, "events", latest, RetrainingCursor()).imported == 7, "also with a lost cursor"
    decided_again = msgspec.structs.replace(latest, decided_at="2026-01-02T00:00:00+00:00", history_version=grown)
    assert follow_data(tmp_path, "events", decided_again, cursor).imported == 0
    assert follow_data(tmp_path, "events", DECIDED, RetrainingCursor()).imported == 12, "a decision before any import"
    assert follow_data(tmp_path, "events", None, RetrainingCursor()).imported == 12


def test_an_import_that_was_taken_back_is_no_news(tmp_path: Path) -> None:
    create_tables(tmp_path)
    latest = msgspec.structs.replace(DECIDED, history_version=append_history(tmp_path, 5))
    DeltaTable(table_path(tmp_path, "interaction_history")).delete()
    assert follow_data(tmp_path, "events", latest, RetrainingCursor()).imported == 0


def test_a_version_that_is_no_longer_known_starts_no_training(tmp_path: Path) -> None:
    create_tables(tmp_path)
    append_history(tmp_path, 5)
    latest = msgspec.structs.replace(DECIDED, history_version=99)
    assert follow_data(tmp_path, "events", latest, RetrainingCursor()).imported == 0
