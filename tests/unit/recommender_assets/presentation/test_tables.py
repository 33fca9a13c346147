import re
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.evaluation.protocols import MEASURES
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, table_path
from recommender_assets.presentation.table_facts import table_facts
from recommender_assets.presentation.tables import contest_table, decision_table, key_value_table
from recommender_assets.promotion.policy import decide
from recommender_assets.promotion.standing import Standing
from recommender_assets.settings import PromotionSettings
from tests.contests import contest

POLICY = PromotionSettings(guardrails={"catalogue_ndcg_at_10": 0.05}, limits={})
FLOORS = {"rmse": {"item_mean": 0.98}, "catalogue_ndcg_at_10": {"popularity": 0.2, "random": 0.01}}
GOOD = Standing(version="svd-2", algorithm="svd", metrics={"rmse": 0.87, "catalogue_ndcg_at_10": 0.19}, floors=FLOORS)
OLD = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.99}, floors=FLOORS)


def test_figures_that_beat_every_floor_are_bold() -> None:
    assert contest_table([GOOD, OLD]).splitlines() == [
        "| metric | svd-2 | svd-1 | floors |",
        "| --- | --- | --- | --- |",
        "| rmse (lower is better) | **0.8700** | 0.9900 | item_mean 0.9800 |",
        "| catalogue_ndcg_at_10 (higher is better) | 0.1900 |  | popularity 0.2000, random 0.0100 |",
    ]


def test_a_decision_names_what_became_of_each_candidate() -> None:
    champion = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.90, "catalogue_ndcg_at_10": 0.30})
    better = Standing(version="svd-2", algorithm="svd", metrics={"rmse": 0.87, "catalogue_ndcg_at_10": 0.33})
    worse = Standing(version="nmf-2", algorithm="nmf", metrics={"rmse": 0.95, "catalogue_ndcg_at_10": 0.33})
    rows = decision_table(decide(contest([better, worse], champion), POLICY)).splitlines()
    assert rows[2] == "| svd-2 | champion | +0.0300 (+0.0300 to +0.0300) | catalogue_ndcg_at_10 +10.0% |  |"
    assert rows[3].startswith(
        "| nmf-2 | staging | -0.0500 (-0.0500 to -0.0500) | catalogue_ndcg_at_10 +10.0% | rmse 0.95"
    )


def test_cells_cannot_break_the_table() -> None:
    assert key_value_table({"a|b": 1}).splitlines()[2] == "| a\\|b | 1 |"


def test_rows_files_bytes_and_version_are_told(tmp_path: Path) -> None:
    create_tables(tmp_path)
    assert table_facts(tmp_path, "items") == {"dagster/row_count": 0, "files": 0, "bytes": 0, "version": 0}
    films = {"item_id": ["1", "2"], "title": ["A", "B"], "categories": [["Drama"], []], "year": [1990, 0]}
    write_deltalake(table_path(tmp_path, "items"), pa.table(films, schema=SCHEMAS["items"]), mode="append")
    size = sum(path.stat().st_size for path in Path(table_path(tmp_path, "items")).glob("*.parquet"))
    assert table_facts(tmp_path, "items") == {"dagster/row_count": 2, "files": 1, "bytes": size, "version": 1}


cell = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), max_size=8)


@given(values=st.dictionaries(cell, cell, max_size=5))
def test_every_row_has_two_cells_whatever_they_hold(values: dict[str, str]) -> None:
    header, rule, *rows = key_value_table(values).splitlines()
    assert (header, rule) == ("| name | value |", "| --- | --- |")
    cells = [re.split(r"(?<!\\)\|", row) for row in rows]
    assert all(len(row) == 4 for row in cells)  # with the empty ends
    assert [(row[1].strip(), row[2].strip()) for row in cells] == [
        (name.replace("|", "\\|"), value.replace("|", "\\|")) for name, value in values.items()
    ]


def test_a_pipe_in_an_objection_or_a_version_is_escaped() -> None:
    floors = {"rmse": {"a|b": 0.5}}
    odd = Standing(version="svd|1", algorithm="svd", metrics={"rmse": 0.9, "catalogue_ndcg_at_10": 0.3}, floors=floors)
    for table in (contest_table([odd]), decision_table(decide(contest([odd]), POLICY))):
        header, rule, *rows = table.splitlines()
        columns = rule.count("---")
        assert all(len(re.split(r"(?<!\\)\|", row)) == columns + 2 for row in (header, *rows))
        assert "svd\\|1" in table
        assert "a\\|b" in table


def test_the_first_champion_has_nothing_to_gain_on() -> None:
    good = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.87, "catalogue_ndcg_at_10": 0.3})
    bad = Standing(version="nmf-1", algorithm="nmf", metrics={"rmse": 0.99, "catalogue_ndcg_at_10": 0.1}, floors=FLOORS)
    assert decision_table(decide(contest([good, bad]), POLICY)).splitlines()[2:] == [
        "| svd-1 | champion |  |  |  |",
        "| nmf-1 | staging |  |  | rmse 0.9900 does not beat its floor item_mean 0.9800; "
        "catalogue_ndcg_at_10 0.1000 does not beat its floor popularity 0.2000 |",
    ]


def test_losses_carry_their_sign_and_nobody_is_called_champion() -> None:
    champion = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.8, "catalogue_ndcg_at_10": 0.4})
    worse = Standing(version="svd-2", algorithm="svd", metrics={"rmse": 0.9, "catalogue_ndcg_at_10": 0.3})
    (row,) = decision_table(decide(contest([worse], champion), POLICY)).splitlines()[2:]
    assert row.startswith(
        "| svd-2 | staging | -0.1000 (-0.1000 to -0.1000) | catalogue_ndcg_at_10 -25.0% | rmse 0.9000"
    )
    assert "; catalogue_ndcg_at_10 0.3000 is 25.0% worse" in row


def test_metrics_of_any_model_get_a_row_and_without_floors_nothing_is_bold() -> None:
    one = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.9})
    other = Standing(version="nmf-1", algorithm="nmf", metrics={"user_coverage": 1.0})
    assert contest_table([one, other]).splitlines()[2:] == [
        "| rmse (lower is better) | 0.9000 |  |  |",
        "| user_coverage (higher is better) |  | 1.0000 |  |",
    ]


def test_a_figure_equal_to_a_floor_is_not_bold() -> None:
    equal = Standing(version="svd-1", algorithm="svd", metrics={"rmse": 0.98}, floors=FLOORS)
    assert "**" not in contest_table([equal])


def test_protocols_fit_into_a_table() -> None:
    meanings = {name: facts.meaning for measure in MEASURES.values() for name, facts in measure.metrics.items()}
    assert len(key_value_table(meanings).splitlines()) == len(meanings) + 2
