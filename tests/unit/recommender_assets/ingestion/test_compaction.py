import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion import compaction
from recommender_assets.ingestion.compaction import LAYOUTS, Compaction, Layout, compact, groups
from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import create_tables, open_dataset, read_table, table_path

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def append(root: Path, day: int, users: list[str]) -> None:
    """A file with events of one day."""
    rows = [
        {"user_id": user, "item_id": "i", "event_type": "view", "timestamp": START + dt.timedelta(day, minutes=number)}
        for number, user in enumerate(users)
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["interactions"])
    write_deltalake(table_path(root, "interactions"), table, mode="append")


def rows(root: Path, version: int | None = None) -> list[dict[str, object]]:
    return sorted(read_table(root, "interactions", version=version).to_pylist(), key=str)


def test_small_files_become_one_with_the_same_rows_sorted_by_user(root: Path) -> None:
    for day, users in enumerate((["b", "a"], ["c", "a"], ["b"])):
        append(root, day, users)
    before, version = rows(root), DeltaTable(table_path(root, "interactions")).version()
    assert compact(root, "interactions", dry_run=True) == Compaction(3, 1)
    assert compact(root, "interactions") == Compaction(3, 1)
    assert rows(root) == rows(root, version) == before
    (file,) = DeltaTable(table_path(root, "interactions")).file_uris()
    assert pq.read_table(file)["user_id"].to_pylist() == ["a", "a", "b", "b", "c"]
    assert compact(root, "interactions") == Compaction(), "one file is not written again"


def test_neighbours_in_time_are_merged_so_that_readers_by_time_skip_files(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "TARGET_ROWS", 5)
    for day in (5, 0, 4, 1):
        append(root, day, ["u"] * 2)
    assert compact(root, "interactions") == Compaction(4, 2)
    day = pa.compute.field("timestamp") < START + dt.timedelta(days=3)
    (fragment,) = open_dataset(root, "interactions").get_fragments(filter=day)
    assert fragment.count_rows() == 4


def test_a_commit_of_a_compaction_says_that_no_data_changed(root: Path) -> None:
    append(root, 0, ["a"])
    append(root, 1, ["b"])
    compact(root, "interactions")
    log = Path(table_path(root, "interactions")) / "_delta_log"
    last = max(log.glob("*.json")).read_text(encoding="utf-8")
    assert '"dataChange":true' not in last
    assert last.count('"dataChange":false') == 3


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_table_can_be_laid_out(root: Path, name: TableName) -> None:
    for _ in range(2):
        row = {field.name: [] for field in SCHEMAS[name] if pa.types.is_nested(field.type)}
        rows = pa.Table.from_pylist([row], schema=SCHEMAS[name])
        write_deltalake(table_path(root, name), rows, mode="append")
    assert compact(root, name) == Compaction(2, 1)
    assert read_table(root, name).num_rows == 2


def test_layouts_name_columns_of_their_tables() -> None:
    for name, layout in LAYOUTS.items():
        assert {layout.files, *layout.rows} <= set(SCHEMAS[name].names)


files = st.lists(
    st.fixed_dictionaries(
        {
            "num_records": st.integers(1, 3_000_000),
            "size_bytes": st.integers(1, 200 << 20),
            "min.time": st.none() | st.integers(0, 9),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(files)
def test_groups_stay_below_the_targets_and_leave_large_files_alone(found: list[dict[str, object]]) -> None:
    table = pa.Table.from_pylist([file | {"path": str(number)} for number, file in enumerate(found)])
    by_path = {row["path"]: row for row in table.to_pylist()}
    merged = list(groups(table, Layout("time", ())))
    paths = [path for group in merged for path in group]
    assert len(paths) == len(set(paths))
    for group in merged:
        assert len(group) > 1
        assert sum(by_path[path]["num_records"] for path in group) <= compaction.TARGET_ROWS
        assert sum(by_path[path]["size_bytes"] for path in group) <= compaction.TARGET_BYTES
        times = [-1 if (time := by_path[path]["min.time"]) is None else time for path in group]
        assert times == sorted(times)
    large = {path for path, row in by_path.items() if row["num_records"] > 1_000_000 or row["size_bytes"] > 64 << 20}
    assert not large & set(paths)
