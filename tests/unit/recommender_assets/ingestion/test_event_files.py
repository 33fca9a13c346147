import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyarrow import parquet as pq

from recommender_assets.ingestion import event_files
from recommender_assets.ingestion.commits import commit_files
from recommender_assets.ingestion.event_files import FILE_SCHEMA, WrittenFile, read_columns, remove_event_file, writing
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, read_table, table_path

NOW = dt.datetime(2024, 1, 1, 12, 0, 0, 123_456, tzinfo=dt.UTC)
CONSTANTS = {"topic_id": "id", "ingested_at": NOW}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_tables(tmp_path)
    return tmp_path


def batch(*offsets: int, **changes: Any) -> pa.RecordBatch:
    fields = {"user_id": "u", "item_id": None, "event_type": "view", "timestamp": NOW, "event_day": NOW.date()}
    fields |= {"event_id": "e", "event_key": 5} | changes
    rows = [fields | {"kafka_partition": 1, "kafka_offset": offset} for offset in offsets]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMAS["interactions"])


def write(root: Path, *batches: pa.RecordBatch) -> list[WrittenFile]:
    (described,) = writing(root, CONSTANTS, lambda rows: [("interactions", rows)])(iter(batches))
    assert described.schema.equals(FILE_SCHEMA)
    return [WrittenFile.from_row(row) for row in described.to_pylist()]


def parquet_files(root: Path) -> list[Path]:
    return list(Path(table_path(root, "interactions")).glob("*.parquet"))


def test_rows_of_a_task_are_one_file_with_their_identities(root: Path) -> None:
    (file,) = write(root, batch(3, 4), batch(), batch(5, user_id="v"))
    (path,) = parquet_files(root)
    assert (file.table, file.path, file.size) == ("interactions", path.name, path.stat().st_size)
    micros = (NOW - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    assert file.identities.tolist() == [(1, offset, 5, micros) for offset in (3, 4, 5)]
    (stored,) = read_columns(root, "interactions", file.path, ["user_id", "topic_id"])
    assert stored.to_pydict() == {"user_id": ["u", "u", "v"], "topic_id": ["id"] * 3}


def test_statistics_cover_all_rows_and_let_readers_skip_the_file(root: Path) -> None:
    files = write(root, batch(3, 4), batch(9, user_id="v", timestamp=NOW + dt.timedelta(days=1), rating=2.5))
    stats = json.loads(files[0].stats)
    assert stats["numRecords"] == 3
    assert (stats["minValues"]["user_id"], stats["maxValues"]["user_id"]) == ("u", "v")
    assert (stats["minValues"]["timestamp"], stats["maxValues"]["timestamp"]) == (
        "2024-01-01T12:00:00.123456Z",
        "2024-01-02T12:00:00.123456Z",
    )
    assert (stats["nullCount"]["item_id"], stats["nullCount"]["rating"]) == (3, 2)
    assert "item_id" not in stats["minValues"]
    commit_files(root, "interactions", files, NOW)
    (action,) = pa.table(DeltaTable(table_path(root, "interactions")).get_add_actions(flatten=True)).to_pylist()
    assert (action["num_records"], action["min.kafka_offset"], action["max.kafka_offset"]) == (3, 3, 9)
    assert read_table(root, "interactions")["rating"].to_pylist() == [None, None, 2.5]


def test_no_rows_make_no_file(root: Path) -> None:
    assert write(root) == []
    assert write(root, batch()) == []
    assert parquet_files(root) == []


def test_a_task_that_fails_leaves_no_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "_ROW_GROUP_ROWS", 1)

    def batches() -> Any:
        yield batch(1)
        assert parquet_files(root), "the first rows were written already"
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        list(writing(root, CONSTANTS, lambda rows: [("interactions", rows)])(batches()))
    assert parquet_files(root) == []


def test_rows_wait_for_a_full_row_group(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "_ROW_GROUP_ROWS", 3)
    (file,) = write(root, *(batch(offset) for offset in range(7)))
    with pq.ParquetFile(Path(table_path(root, "interactions")) / file.path) as stored:
        assert [stored.metadata.row_group(group).num_rows for group in range(3)] == [3, 3, 1]


def test_giants_do_not_pile_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "_ROW_GROUP_BYTES", 1_000)
    (file,) = write(root, *(batch(offset, user_id="u" * 600) for offset in range(4)))
    with pq.ParquetFile(Path(table_path(root, "interactions")) / file.path) as stored:
        assert stored.num_row_groups == 2


def test_a_file_can_be_removed_again(root: Path) -> None:
    (file,) = write(root, batch(1))
    remove_event_file(root, "interactions", file.path)
    assert parquet_files(root) == []
