from pathlib import Path

import pytest

from recommender_assets.fact import Check, Fact, Outcome, check, nothing_found
from recommender_assets.ingestion.tables import read_table
from recommender_assets.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@check("table", blocking=True)
def table_is_there(settings: Settings) -> Outcome:
    """The table's folder exists."""
    files = sorted(path.name for path in (settings.root / "table").iterdir())
    return Outcome(bool(files), "" if files else "the table is empty", {"files": len(files)})


def test_a_function_declares_its_check() -> None:
    assert isinstance(table_is_there, Check)
    declared = (table_is_there.asset, table_is_there.name, table_is_there.blocking, table_is_there.description)
    assert declared == ("table", "table_is_there", True, "The table's folder exists.")


def test_a_check_tells_a_fact(settings: Settings) -> None:
    (settings.root / "table").mkdir()
    expected = Fact("table", "table_is_there", False, True, {"files": 0}, "the table is empty")
    assert table_is_there(settings) == expected
    (settings.root / "table" / "part").touch()
    assert table_is_there(settings) == Fact("table", "table_is_there", True, True, {"files": 1})


def test_what_is_missing_does_not_hold_and_says_what_is_missing(settings: Settings) -> None:
    fact = table_is_there(settings)
    assert not fact.passed
    assert str(settings.root / "table") in fact.reason


def test_any_other_error_is_not_hidden(settings: Settings) -> None:
    @check("table")
    def breaks(settings: Settings) -> Outcome:
        """Never returns."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks(settings)
    assert not breaks.blocking


def test_findings_are_the_reason_as_far_as_they_can_be_read() -> None:
    assert nothing_found([]) == Outcome(True, "", {"findings": 0})
    many = nothing_found([f"row {n}" for n in range(50)], shown=3)
    assert many == Outcome(False, "row 0; row 1; row 2", {"findings": 50})


def test_a_table_that_was_never_created_is_missing_too(settings: Settings) -> None:
    @check("table")
    def table_has_rows(settings: Settings) -> Outcome:
        """The table has rows."""
        return Outcome(read_table(settings.root, "items").num_rows > 0)

    assert "tables/items" in table_has_rows(settings).reason
