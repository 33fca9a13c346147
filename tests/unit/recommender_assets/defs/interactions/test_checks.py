from pathlib import Path

import pytest

from recommender_assets.defs.interactions import checks
from recommender_assets.defs.interactions.checks import (
    SHOWN,
    every_record_is_accounted_for,
    no_duplicate_events,
    offsets_are_contiguous,
)
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.settings import Settings, load_settings

BOTH = pytest.mark.parametrize(
    ("check", "finder"),
    [(offsets_are_contiguous, "contiguity_gaps"), (every_record_is_accounted_for, "accounting_errors")],
    ids=["contiguity", "accounting"],
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def test_empty_tables_pass_both_checks(settings: Settings) -> None:
    for check in (offsets_are_contiguous, every_record_is_accounted_for):
        result = check(settings=settings)
        assert result.passed
        assert result.description is None
        assert result.metadata["findings"].value == 0


def test_a_gap_in_the_ledger_is_found(settings: Settings) -> None:
    append_rows(settings.root, "events", "t", [LedgerRow(0, 0, 4, accepted=4), LedgerRow(0, 6, 9, accepted=3)])
    result = offsets_are_contiguous(settings=settings)
    assert not result.passed
    assert result.metadata["findings"].value == 1
    assert result.description is not None
    assert "4" in result.description
    assert "6" in result.description


def test_rows_that_the_ledger_counts_and_the_table_lacks_are_found(settings: Settings) -> None:
    append_rows(settings.root, "events", "t", [LedgerRow(0, 0, 4, accepted=4)])
    assert offsets_are_contiguous(settings=settings).passed
    result = every_record_is_accounted_for(settings=settings)
    assert not result.passed
    assert result.metadata["findings"].value >= 1


@BOTH
def test_many_findings_are_counted_all_and_shown_in_part(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, check, finder: str
) -> None:
    findings = [f"finding {number:02d}" for number in range(SHOWN + 5)]
    monkeypatch.setattr(checks, finder, lambda root: findings if root == settings.root else [])
    monkeypatch.setattr(checks, "accounting_differences", lambda _: ["differs"])
    result = check(settings=settings)
    assert not result.passed
    assert result.metadata["findings"].value == SHOWN + 5
    assert result.description == "; ".join(findings[:SHOWN])


def test_rows_are_read_only_when_the_files_statistics_differ(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "accounting_errors", lambda _: pytest.fail("rows were read"))
    assert every_record_is_accounted_for(settings=settings).passed


def test_a_duplicate_event_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert no_duplicate_events(settings=settings).passed
    monkeypatch.setattr(checks, "recent_duplicates", lambda root, rows: [f"{rows} {root == settings.root}"])
    result = no_duplicate_events(settings=settings)
    assert not result.passed
    assert result.description == "1000000 True"
