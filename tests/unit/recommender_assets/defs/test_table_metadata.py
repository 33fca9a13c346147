from typing import get_args

import dagster as dg
import pytest

from recommender_assets.definitions import defs
from recommender_assets.defs.table_metadata import table_metadata
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import table_path
from recommender_assets.settings import load_settings

TABLE_ASSETS: dict[str, TableName] = {
    "interactions": "interactions",
    "interaction_history": "interaction_history",
    "items": "items",
    "user_profiles": "user_profiles",
    "item_profiles": "item_profiles",
    "recommendation_log": "recommendation_log",
    "experiment_report": "experiment_verdicts",
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


@pytest.mark.parametrize(("asset", "name"), TABLE_ASSETS.items())
def test_the_catalogue_shows_the_columns_of_the_table(definitions: dg.Definitions, asset: str, name: TableName) -> None:
    metadata = definitions.resolve_assets_def(asset).metadata_by_key[dg.AssetKey(asset)]
    shown = metadata["dagster/column_schema"]
    assert isinstance(shown, dg.TableSchema)
    assert [(column.name, column.type) for column in shown.columns] == [
        (field.name, str(field.type)) for field in SCHEMAS[name]
    ]
    assert metadata["dagster/table_name"] == name
    assert metadata["dagster/uri"] == table_path(load_settings().root, name)


@pytest.mark.parametrize("name", get_args(TableName))
def test_every_table_can_be_described_with_what_may_be_missing(name: TableName) -> None:
    columns = table_metadata(name)["dagster/column_schema"].columns
    assert [column.constraints.nullable for column in columns] == [field.nullable for field in SCHEMAS[name]]


def test_only_tables_claim_columns(definitions: dg.Definitions) -> None:
    claims = {
        spec.key.to_user_string()
        for spec in definitions.resolve_all_asset_specs()
        if "dagster/column_schema" in spec.metadata
    }
    assert claims == set(TABLE_ASSETS)
