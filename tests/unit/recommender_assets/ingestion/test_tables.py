import datetime as dt
import operator
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.exceptions import TableNotFoundError
from deltalake.schema import PrimitiveType

from recommender_assets.ingestion.rewriting import merge_files, rewrite_files
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import (
    append_to_table,
    create_table,
    create_tables,
    read_table,
    replace_in_table,
    table_path,
    table_version,
)

ITEMS = pa.Table.from_pylist(
    [
        {"item_id": "1", "title": "A", "categories": ["x", "y"], "year": 1999},
        {"item_id": "2", "title": "B", "categories": [], "year": 0},
    ],
    schema=SCHEMAS["items"],
)


def test_created_tables_are_empty_and_have_their_columns(tmp_path: Path) -> None:
    create_tables(tmp_path)
    for name, schema in SCHEMAS.items():
        table = read_table(tmp_path, name)
        assert table.num_rows == 0
        assert table.schema.equals(schema), name


def test_deletion_vectors_are_off_so_that_delta_rs_can_read_what_spark_writes(tmp_path: Path) -> None:
    create_tables(tmp_path)
    for name in SCHEMAS:
        configuration = DeltaTable(table_path(tmp_path, name)).metadata().configuration
        assert configuration["delta.enableDeletionVectors"] == "false"


def test_creating_again_keeps_the_rows(tmp_path: Path) -> None:
    create_tables(tmp_path)
    write_deltalake(table_path(tmp_path, "items"), ITEMS, mode="append")
    create_tables(tmp_path)
    assert read_table(tmp_path, "items").equals(ITEMS)


def test_several_may_create_the_tables_at_the_same_moment(tmp_path: Path) -> None:
    for attempt in range(8):
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(create_tables, [tmp_path / str(attempt)] * 8)) == [None] * 8
        assert table_version(tmp_path / str(attempt), "items") == 0


def test_read_selects_columns_rows_and_version(tmp_path: Path) -> None:
    create_tables(tmp_path)
    write_deltalake(table_path(tmp_path, "items"), ITEMS, mode="append")
    selected = read_table(tmp_path, "items", ["year", "title"], pc.field("item_id") == "1")
    assert selected.to_pylist() == [{"year": 1999, "title": "A"}]
    assert read_table(tmp_path, "items", version=0).num_rows == 0


def test_times_keep_microseconds_and_utc(tmp_path: Path) -> None:
    create_tables(tmp_path)
    moment = dt.datetime(1995, 1, 9, 11, 46, 49, 123_456, tzinfo=dt.UTC)
    row = pa.Table.from_pylist([{"user_id": "u", "timestamp": moment}], schema=SCHEMAS["interaction_history"])
    write_deltalake(table_path(tmp_path, "interaction_history"), row, mode="append")
    assert read_table(tmp_path, "interaction_history")["timestamp"].to_pylist() == [moment]


def test_version_counts_commits_and_is_none_before_creation(tmp_path: Path) -> None:
    assert table_version(tmp_path, "items") is None
    create_tables(tmp_path)
    assert table_version(tmp_path, "items") == 0
    write_deltalake(table_path(tmp_path, "items"), ITEMS, mode="append")
    assert table_version(tmp_path, "items") == 1


def test_reading_a_missing_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(TableNotFoundError):
        read_table(tmp_path, "items")


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.eq, operator.ge, operator.ne])
@pytest.mark.parametrize("limit", [0, 1, 4, 9])
def test_a_condition_over_several_files_keeps_what_a_plain_filter_keeps(
    tmp_path: Path, compare: Callable[[object, object], object], limit: int
) -> None:
    years = [[0, 1], [4, 5], [9], []]
    for part in years:
        rows = pa.Table.from_pylist([{"item_id": str(year), "year": year} for year in part], schema=SCHEMAS["items"])
        write_deltalake(table_path(tmp_path, "items"), rows, mode="append")
    kept = read_table(tmp_path, "items", ["year"], compare(pc.field("year"), limit))["year"].to_pylist()
    assert sorted(kept) == [year for part in years for year in part if compare(year, limit)]


def test_a_condition_may_use_a_column_that_is_not_wanted(tmp_path: Path) -> None:
    write_deltalake(table_path(tmp_path, "items"), ITEMS)
    assert read_table(tmp_path, "items", ["title"], pc.field("year") == 0).to_pylist() == [{"title": "B"}]


def test_every_version_stays_readable_after_the_table_was_replaced(tmp_path: Path) -> None:
    create_tables(tmp_path)
    for first in (0, 1):
        write_deltalake(table_path(tmp_path, "items"), ITEMS.slice(first, 1), mode="overwrite")
    versions = [read_table(tmp_path, "items", ["item_id"], version=version) for version in (0, 1, 2)]
    assert [table["item_id"].to_pylist() for table in versions] == [[], ["1"], ["2"]]
    assert read_table(tmp_path, "items").equals(ITEMS.slice(1, 1))


def test_an_unknown_column_or_version_is_an_error_that_names_it(tmp_path: Path) -> None:
    create_tables(tmp_path)
    with pytest.raises(KeyError, match="titel"):
        read_table(tmp_path, "items", ["titel"])
    with pytest.raises(Exception, match="7"):
        read_table(tmp_path, "items", version=7)


def test_creating_again_writes_no_version_and_mends_a_missing_table_only(tmp_path: Path) -> None:
    create_tables(tmp_path)
    write_deltalake(table_path(tmp_path, "items"), ITEMS, mode="append")
    shutil.rmtree(table_path(tmp_path, "interactions"))
    create_tables(tmp_path)
    create_tables(tmp_path)
    assert {name: table_version(tmp_path, name) for name in SCHEMAS} == dict.fromkeys(SCHEMAS, 0) | {"items": 1}


def test_a_root_with_spaces_and_umlauts_is_just_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "my dätä"
    create_tables(root)
    write_deltalake(table_path(root, "items"), ITEMS, mode="append")
    assert read_table(root, "items").equals(ITEMS)


def test_a_new_column_arrives_while_old_programs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_tables(tmp_path)
    path, old = table_path(tmp_path, "items"), SCHEMAS["items"]
    write_deltalake(path, ITEMS, mode="append")
    new = old.append(pa.field("language", pa.string()))
    with monkeypatch.context() as patched:
        patched.setitem(SCHEMAS, "items", new)
        create_tables(tmp_path)
        create_tables(tmp_path)
        row = {"item_id": "3", "title": "C", "categories": [], "year": 7, "language": "fi"}
        write_deltalake(path, pa.Table.from_pylist([row], schema=new), mode="append")
        found = read_table(tmp_path, "items", ["item_id", "language"]).sort_by("item_id").to_pylist()
        assert [row["language"] for row in found] == [None, None, "fi"]
    assert table_version(tmp_path, "items") == 3, "the column is one commit"

    assert read_table(tmp_path, "items").sort_by("item_id").slice(0, 2).equals(ITEMS)
    merge_files(tmp_path, "items", [Path(file).name for file in DeltaTable(path).file_uris()], ["item_id"])
    rewrite_files(
        tmp_path,
        "items",
        DeltaTable(path),
        pc.field("item_id") == "2",
        lambda rows: rows.filter(pc.field("item_id") != "2"),
    )
    assert read_table(tmp_path, "items").num_rows == 2
    monkeypatch.setitem(SCHEMAS, "items", new)
    languages = read_table(tmp_path, "items", ["language"])["language"].to_pylist()
    assert sorted(map(str, languages)) == ["None", "fi"], "an old program keeps what it does not know"


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_old_program_goes_on_writing_to_a_table_with_a_newer_column(tmp_path: Path, name: TableName) -> None:
    create_table(tmp_path, name)
    path = table_path(tmp_path, name)
    DeltaTable(path).alter.add_columns([Field("newer", PrimitiveType("string"))])
    row = pa.table([pa.nulls(1, field.type) for field in SCHEMAS[name]], schema=SCHEMAS[name])

    append_to_table(path, row)
    append_to_table(DeltaTable(path), row)
    assert read_table(tmp_path, name).num_rows == 2

    replace_in_table(path, row)
    assert read_table(tmp_path, name).num_rows == 1
    assert [field.name for field in DeltaTable(path).schema().fields] == [*SCHEMAS[name].names, "newer"]
