import gzip
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from recommender_assets.ingestion import catalogue, sources
from recommender_assets.ingestion.catalogue import CatalogueError
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import read_table, table_version
from recommender_assets.settings import CatalogueSettings, HistorySettings, Settings, load_settings

FILMS = "movieId,title,genres,year\n1,Toy Story,Animation|Comedy,1995\n2,,,unknown\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    config = Path(__file__).parents[4] / "config.yaml"
    return load_settings(config, {"RECOMMENDER__STORAGE__ROOT": str(tmp_path / "data")})


def with_catalogue(settings: Settings, source: Any, path: Path, **columns: str) -> Settings:
    described = CatalogueSettings(path=str(path), **({"item_id": "movieId", "categories": "genres"} | columns))
    history = HistorySettings(source=source, path="ratings", catalogue=described)
    return msgspec.structs.replace(settings, history=history)


def film(item_id: str, title: str) -> dict[str, object]:
    return {"item_id": item_id, "title": title, "categories": ["Drama"], "year": 2000}


def test_an_import_replaces_the_catalogue_and_keeps_the_older_version(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports = [[film("1", "A"), film("2", "B")], [film("2", "B again")]]
    for films in imports:
        table = pa.Table.from_pylist(films, schema=SCHEMAS["items"])
        monkeypatch.setattr(sources, "films", lambda table=table: table)
        assert catalogue.import_items(settings) == len(films)
        assert read_table(settings.root, "items").to_pylist() == films
    assert table_version(settings.root, "items") == 2
    assert read_table(settings.root, "items", version=1).to_pylist() == imports[0]


@pytest.mark.parametrize("name", ["movies.csv", "movies.csv.gz"])
def test_a_csv_catalogue_is_read_by_its_column_names(settings: Settings, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(FILMS.encode()) if name.endswith("gz") else FILMS.encode())
    settings = with_catalogue(settings, "csv", path, year="year")
    assert catalogue.import_items(settings) == 2
    assert read_table(settings.root, "items").to_pylist() == [
        {"item_id": "1", "title": "Toy Story", "categories": ["Animation", "Comedy"], "year": 1995},
        {"item_id": "2", "title": "2", "categories": [], "year": 0},
    ]


def test_a_parquet_catalogue_may_hold_lists_and_numbers(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "movies.parquet"
    rows = [{"movieId": 5, "title": "A", "genres": ["Drama", "Crime"]}, {"movieId": 6, "title": "B", "genres": None}]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    items = catalogue.catalogue(with_catalogue(settings, "parquet", path).history).to_pylist()
    assert [(item["item_id"], item["categories"]) for item in items] == [("5", ["Drama", "Crime"]), ("6", [])]


def test_a_file_without_a_catalogue_has_no_items(settings: Settings) -> None:
    history = HistorySettings(source="csv", path="ratings.csv")
    assert catalogue.catalogue(history).equals(SCHEMAS["items"].empty_table())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "history.catalogue.path: cannot read"),
        ("movieId,title,genres\n1,A,B\n1,C,D\n", "item_id must be unique, got '1' in 2 rows"),
        ("movieId,title,genres\n,A,B\n", "item_id must not be empty"),
        (
            "id,title,genres\n1,A,B\n",
            "history.catalogue.item_id: no column 'movieId', the source has id, title, genres",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_read_is_refused_and_the_table_stays(
    settings: Settings, tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "movies.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CatalogueError, match=problem):
        catalogue.import_items(with_catalogue(settings, "csv", path))
    assert read_table(settings.root, "items").num_rows == 0
