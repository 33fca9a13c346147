import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from recommender_assets.fact import Check
from recommender_assets.ingestion import interactions_checks as checks
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.interactions_checks import (
    INTERACTIONS_CHECKS,
    every_record_is_accounted_for,
    interactions_are_fresh,
    no_duplicate_events,
    offsets_are_contiguous,
    rating_distribution_is_stable,
    unknown_item_share_is_low,
    volume_is_usual,
)
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.settings import ChecksSettings, Settings, load_settings

PROOFS = [offsets_are_contiguous, every_record_is_accounted_for, no_duplicate_events]
USUAL = ChecksSettings(recent_events=100)
TOPIC = "user_interactions"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    loaded = load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    return msgspec.structs.replace(loaded, checks=USUAL)


def write(settings: Settings, table: TableName, **columns: Sequence[object]) -> None:
    schema = SCHEMAS[table]
    n = len(next(iter(columns.values())))
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    write_deltalake(table_path(settings.root, table), pa.table(arrays, schema=schema), mode="append")


def batch(settings: Settings, ratings: Sequence[float | None], items: Sequence[str] | None = None) -> None:
    """One micro-batch as ingestion writes it: the rows, then the ledger."""
    now, n = dt.datetime.now(dt.UTC), len(ratings)
    write(settings, "interactions", rating=ratings, item_id=items or ["i1"] * n, ingested_at=[now] * n)
    append_rows(settings.root, TOPIC, "t", [LedgerRow(0, 0, n, accepted=n)])


def days_ago(settings: Settings, days: float, accepted: int) -> None:
    committed = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    write(settings, "ingestion_ledger", topic=[TOPIC], accepted=[accepted], committed_at=[committed])


def test_only_the_proofs_block() -> None:
    assert [check for check in INTERACTIONS_CHECKS if check.blocking] == PROOFS
    assert {check.asset for check in INTERACTIONS_CHECKS} == {"interactions"}


@pytest.mark.parametrize("check", PROOFS, ids=lambda check: str(check.name))
def test_empty_tables_prove_themselves(settings: Settings, check: Check) -> None:
    fact = check(settings)
    assert (fact.passed, fact.reason, dict(fact.numbers)) == (True, "", {"findings": 0})


def test_a_gap_in_the_ledger_is_found(settings: Settings) -> None:
    append_rows(settings.root, "events", "t", [LedgerRow(0, 0, 4, accepted=4), LedgerRow(0, 6, 9, accepted=3)])
    fact = offsets_are_contiguous(settings)
    assert not fact.passed
    assert fact.numbers == {"findings": 1}
    assert "expected offset 4 next, found 6" in fact.reason


def test_rows_that_the_ledger_counts_and_the_table_lacks_are_found(settings: Settings) -> None:
    append_rows(settings.root, "events", "t", [LedgerRow(0, 0, 4, accepted=4)])
    assert offsets_are_contiguous(settings).passed
    fact = every_record_is_accounted_for(settings)
    assert not fact.passed
    assert fact.reason


def test_rows_are_read_only_when_the_files_statistics_differ(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "accounting_errors", lambda _: pytest.fail("rows were read"))
    assert every_record_is_accounted_for(settings).passed


def test_a_duplicate_event_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "recent_duplicates", lambda root, rows: [f"{rows} {root == settings.root}"])
    fact = no_duplicate_events(settings)
    assert (fact.passed, fact.reason) == (False, "1000000 True")


def test_events_are_fresh_until_they_stop_coming(settings: Settings) -> None:
    assert interactions_are_fresh(settings).reason == "no event was ingested yet"
    days_ago(settings, 2.0, accepted=5)
    days_ago(settings, 0.1, accepted=0)
    stale = interactions_are_fresh(settings)
    assert not stale.passed
    assert stale.reason == "the latest event was ingested 172800 s ago, 86400 s are usual"
    days_ago(settings, 0.5, accepted=5)
    fresh = interactions_are_fresh(settings)
    assert (fresh.passed, fresh.reason) == (True, "")
    assert fresh.numbers["age_seconds"] == pytest.approx(43_200, abs=60)


@pytest.mark.parametrize(
    ("latest", "passed"), [(100, True), (25, True), (24, False), (400, True), (401, False), (0, False)]
)
def test_a_day_is_compared_with_the_days_before(settings: Settings, latest: int, *, passed: bool) -> None:
    for day in range(1, 7):
        days_ago(settings, day + 0.5, accepted=100)
    days_ago(settings, 0.5, accepted=latest)
    fact = volume_is_usual(settings)
    assert (fact.passed, dict(fact.numbers)) == (passed, {"latest_day": latest, "usual_day": 100.0})
    assert bool(fact.reason) is not passed


def test_a_volume_is_not_judged_by_two_days(settings: Settings) -> None:
    days_ago(settings, 2.5, accepted=1_000_000)
    assert volume_is_usual(settings).reason == "too few days to tell"


def test_ratings_are_compared_with_those_before_them(settings: Settings) -> None:
    write(settings, "interaction_history", rating=[4.0, 3.0] * 200)
    batch(settings, [4.0, 3.0] * 30)
    assert "60 of 100 ratings are too few" in rating_distribution_is_stable(settings).reason
    batch(settings, [3.0, 4.0] * 40)
    same = rating_distribution_is_stable(settings)
    assert (same.passed, same.reason, same.numbers["recent_ratings"]) == (True, "", 140)
    batch(settings, [0.5] * 150)
    fact = rating_distribution_is_stable(settings)
    assert not fact.passed
    assert fact.numbers["recent_ratings"] == 150, "the newest batch is enough"
    assert fact.reason == f"PSI {fact.numbers['psi']:.3f}, up to 0.25 is usual"


def test_events_without_a_rating_are_no_ratings(settings: Settings) -> None:
    write(settings, "interaction_history", rating=[4.0] * 200)
    batch(settings, [None] * 500)
    assert "0 of 100 ratings" in rating_distribution_is_stable(settings).reason


def test_items_that_the_catalogue_lacks_are_counted(settings: Settings) -> None:
    batch(settings, [4.0] * 100, ["i9"] * 100)
    assert unknown_item_share_is_low(settings).passed, "there is no catalogue"
    write(settings, "items", item_id=["i1", "i2"])
    assert not unknown_item_share_is_low(settings).passed
    batch(settings, [4.0] * 100, ["i1"] * 90 + ["i8"] * 10)
    enough = unknown_item_share_is_low(settings)
    assert (enough.passed, dict(enough.numbers)) == (True, {"unknown_share": 0.1, "events": 100})
    batch(settings, [4.0] * 100, ["i1"] * 89 + ["i8"] * 11)
    fact = unknown_item_share_is_low(settings)
    assert fact.reason == "11.0% of 100 events name an unknown item, up to 10.0% is usual"


def test_looking_takes_no_time(settings: Settings) -> None:
    write(settings, "items", item_id=["i1"])
    write(settings, "interaction_history", rating=[4.0, 3.0] * 50_000)
    batch(settings, [4.0, 3.0] * 5_000)
    started = time.monotonic()
    assert all(
        check(settings).passed
        for check in INTERACTIONS_CHECKS
        if check is not no_duplicate_events and not check.blocking
    )
    assert time.monotonic() - started < 5
