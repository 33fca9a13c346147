from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from recommender_assets.ingestion.tables import SCHEMAS, create_tables, table_path
from recommender_assets.presentation.table_facts import row_count
from recommender_assets.presentation.tables import contest_table, decision_table, key_value_table
from recommender_assets.promotion.policy import Standing, decide
from recommender_assets.settings import PromotionSettings

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
    rows = decision_table(decide([better, worse], champion, PromotionSettings())).splitlines()
    assert rows[2] == "| svd-2 | champion | +0.0300 | +10.0% |  |"
    assert rows[3].startswith("| nmf-2 | staging | -0.0500 | +10.0% | rmse 0.9500 gains -0.0500 on champion svd-1")


def test_cells_cannot_break_the_table() -> None:
    assert key_value_table({"a|b": 1}).splitlines()[2] == "| a\\|b | 1 |"


def test_rows_are_counted(tmp_path: Path) -> None:
    create_tables(tmp_path)
    assert row_count(tmp_path, "items") == 0
    films = {"item_id": ["1", "2"], "title": ["A", "B"], "categories": [["Drama"], []], "year": [1990, 0]}
    write_deltalake(table_path(tmp_path, "items"), pa.table(films, schema=SCHEMAS["items"]), mode="append")
    assert row_count(tmp_path, "items") == 2
