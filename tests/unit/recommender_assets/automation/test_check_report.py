import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from recommender_assets.automation.check_report import look, print_facts, stops
from recommender_assets.automation.checks import CHECKS
from recommender_assets.cli import main
from recommender_assets.fact import Check, Fact, Outcome
from recommender_assets.settings import Settings, load_settings

ASSETS = {
    "interactions",
    "user_item_matrix",
    "reduced_features",
    "svd_model",
    "nmf_model",
    "evaluation_report",
    "champion",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def shown(*facts: Fact) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_facts(facts, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def broken(_: Settings) -> Outcome:
    raise KeyError("a column")


def fine(_: Settings) -> Outcome:
    return Outcome(True, "", {"share": 1 / 3, "rows": 1_234_567})


def test_every_kind_of_asset_is_looked_at() -> None:
    assert {check.asset for check in CHECKS} >= ASSETS
    assert all(check.description for check in CHECKS)


def test_what_cannot_be_judged_does_not_hold_and_hides_nothing(settings: Settings) -> None:
    checks = [Check("items", "columns_exist", True, "d", broken), Check("items", "rows_exist", True, "d", fine)]
    first, second = look(checks, settings)
    assert (first.passed, first.blocking, first.reason) == (False, True, "KeyError: 'a column'")
    assert second.passed
    assert stops([first, second]) == [first]


@pytest.mark.parametrize(
    ("passed", "blocking", "word", "is_stop"),
    [
        (True, True, "holds", False),
        (True, False, "holds", False),
        (False, True, "FAILS", True),
        (False, False, "warns", False),
    ],
)
def test_only_a_blocking_fact_stops(*, passed: bool, blocking: bool, word: str, is_stop: bool) -> None:
    fact = Fact(asset="items", name="rows_exist", passed=passed, blocking=blocking, reason="because [of this]")
    assert bool(stops([fact])) is is_stop
    row = next(line for line in shown(fact).splitlines() if "rows_exist" in line)
    assert word in row
    assert "because [of this]" in row


def test_figures_stand_where_there_is_no_reason_and_long_reasons_are_cut(settings: Settings) -> None:
    (fact,) = look([Check("items", "rows_exist", True, "d", fine)], settings)
    assert "share 0.3333, rows 1234567" in shown(fact)
    text = shown(Fact(asset="a", name="b", passed=False, blocking=True, reason="x" * 10_000))
    assert text.count("x") == 300


def test_the_command_fails_where_nothing_is_stored_and_makes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "data"
    result = CliRunner().invoke(main, ["check"], env={"RECOMMENDER__STORAGE__ROOT": str(root)})
    assert result.exit_code == 1
    rows = [line for line in result.output.splitlines() if "champion_is_loadable" in line]
    assert len(rows) == 1
    assert "FAILS" in rows[0]
    assert "there is no champion yet" in rows[0]
    assert not root.exists()
