import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from recommender_assets.ingestion.erasure import erase_forgotten
from recommender_assets.ingestion.list_erasure import erase_lists
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.served_lists import Ranges, Record, _commit, log_position
from recommender_assets.ingestion.served_lists_checks import log_offsets_are_contiguous
from recommender_assets.ingestion.tables import create_tables, read_table, table_path
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.recommendation_log import ServedList, encode_served_list

FORGOTTEN_AT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
FORGOTTEN_MS = int(FORGOTTEN_AT.timestamp()) * 1_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


def forget(settings: Settings, *users: str) -> None:
    rows: list[dict[str, Any]] = [
        {"user_id": user, "topic_id": "e", "kafka_partition": 0, "kafka_offset": 9, "forgotten_at": moment}
        for user in users
        for moment in (FORGOTTEN_AT - dt.timedelta(days=1), FORGOTTEN_AT)
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["forgotten_users"])
    write_deltalake(table_path(settings.root, "forgotten_users"), table, mode="append")


def served(user: str, served_ms: int) -> bytes:
    return encode_served_list(
        ServedList(
            ranking_id=f"{user} {served_ms - FORGOTTEN_MS}",
            user_id=user,
            served_at_us=served_ms * 1_000,
            items=("a",),
            algorithm="svd",
            version="v",
            source="popular",
            logged_share=1.0,
        )
    )


def ingest(settings: Settings, start: int, *values: tuple[str, bytes, int]) -> None:
    records = [
        Record(0, start + place, timestamp_ms, user.encode(), value)
        for place, (user, value, timestamp_ms) in enumerate(values)
    ]
    _commit(settings.root, "t", records, Ranges({0: start}, {0: start + len(values)}, {}))


def kept(settings: Settings) -> tuple[set[str], set[bytes]]:
    lists = read_table(settings.root, "recommendation_log", ["ranking_id"])["ranking_id"].to_pylist()
    return set(lists), set(read_table(settings.root, "rejected_lists", ["value"])["value"].to_pylist())


def test_lists_and_rejected_records_from_before_go_and_later_ones_stay(settings: Settings) -> None:
    bad = json.dumps({"user_id": "ann"}).encode()
    ingest(
        settings,
        0,
        ("ann", served("ann", FORGOTTEN_MS - 1), FORGOTTEN_MS),
        ("ann", served("ann", FORGOTTEN_MS + 1), FORGOTTEN_MS),
        ("bob", served("bob", FORGOTTEN_MS - 1), FORGOTTEN_MS),
        ("x", bad, FORGOTTEN_MS),
        ("ann", b"bad", FORGOTTEN_MS),
        ("ann", b"later", FORGOTTEN_MS + 1),
        ("bob", b"bob's", FORGOTTEN_MS),
    )
    assert erase_lists(settings.root) == (0, 0)
    forget(settings, "ann")
    assert erase_lists(settings.root) == (3, 2)
    assert kept(settings) == ({"ann 1", "bob -1"}, {b"later", b"bob's"})
    assert erase_lists(settings.root) == (0, 0)
    assert log_position(settings.root, "t", [0]) == {0: 7}
    assert log_offsets_are_contiguous(settings).passed


def test_a_list_that_arrives_late_goes_at_the_next_call(settings: Settings) -> None:
    forget(settings, "ann")
    ingest(settings, 0, ("bob", served("bob", FORGOTTEN_MS), FORGOTTEN_MS))
    assert erase_lists(settings.root) == (0, 0)
    ingest(settings, 1, ("ann", served("ann", FORGOTTEN_MS - 1), FORGOTTEN_MS))
    erasure = erase_forgotten(settings)
    assert (erasure.lists, erasure.files) == (1, 1)
    assert "1 served lists removed" in erasure.summary()
    assert kept(settings) == ({"bob 0"}, set())


def test_a_table_without_their_rows_is_not_touched(settings: Settings) -> None:
    ingest(settings, 0, ("bob", served("bob", 1), 1))
    forget(settings, "ann")
    version = DeltaTable(table_path(settings.root, "recommendation_log")).version()
    assert erase_lists(settings.root) == (0, 0)
    assert DeltaTable(table_path(settings.root, "recommendation_log")).version() == version
