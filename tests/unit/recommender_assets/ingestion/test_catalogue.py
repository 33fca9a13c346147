from pathlib import Path

import pyarrow as pa
import pytest

from recommender_assets.ingestion import catalogue, sources
from recommender_assets.ingestion.tables import SCHEMAS, read_table, table_version
from recommender_assets.settings import load_settings


def film(item_id: str, title: str) -> dict[str, object]:
    return {"item_id": item_id, "title": title, "categories": ["Drama"], "year": 2000}


def test_an_import_replaces_the_catalogue_and_keeps_the_older_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(Path(__file__).parents[4] / "config.yaml", {"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    imports = [[film("1", "A"), film("2", "B")], [film("2", "B again")]]
    for films in imports:
        table = pa.Table.from_pylist(films, schema=SCHEMAS["items"])
        monkeypatch.setattr(sources, "films", lambda table=table: table)
        assert catalogue.import_items(settings) == len(films)
        assert read_table(settings.root, "items").to_pylist() == films
    assert table_version(settings.root, "items") == 2
    assert read_table(settings.root, "items", version=1).to_pylist() == imports[0]
