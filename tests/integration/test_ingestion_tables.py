"""History, catalogue and profiles, written by real Spark and read without it."""

import datetime as dt
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from recommender_assets.ingestion.catalogue import import_items
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.history import import_history
from recommender_assets.ingestion.profiles import refresh_item_profiles, refresh_user_profiles
from recommender_assets.ingestion.tables import SCHEMAS, TableName, create_tables, read_table, table_path
from recommender_assets.settings import Settings
from recommender_serving.engine.events import derived_event_id, event_key

DAY = dt.timedelta(days=1)
NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


def month(year: int, number: int) -> dt.datetime:
    return dt.datetime(year, number, 1, tzinfo=dt.UTC)


def write(settings: Settings, name: TableName, rows: list[dict[str, object]]) -> None:
    write_deltalake(table_path(settings.root, name), pa.Table.from_pylist(rows, schema=SCHEMAS[name]), mode="append")


def interaction(
    user: str, item: str | None, time: dt.datetime, event_type: str = "rating", **fields: object
) -> dict[str, object]:
    event_id = derived_event_id(user, item, event_type, int(time.timestamp() * 1e6))
    event = {"user_id": user, "item_id": item, "event_type": event_type, "timestamp": time}
    return event | {"event_id": event_id, "event_key": event_key(event_id)} | fields


def test_history_is_imported_by_month_and_a_month_can_be_repeated(spark: SparkSession, settings: Settings) -> None:
    first = import_history(spark, settings, month(2005, 1), month(2005, 3)).imported
    second = import_history(spark, settings, month(2005, 3), month(2005, 4)).imported
    before = read_table(settings.root, "interaction_history")
    repeated = import_history(spark, settings, month(2005, 2), month(2005, 3)).imported

    after = read_table(settings.root, "interaction_history")
    assert first > repeated > 0
    assert before.num_rows == after.num_rows == first + second
    order = [("timestamp", "ascending"), ("event_id", "ascending")]
    assert after.sort_by(order).equals(before.sort_by(order))
    times = pc.min_max(after["timestamp"]).as_py()
    assert month(2005, 1) <= times["min"] < times["max"] < month(2005, 4)
    row = after.slice(0, 1).to_pylist()[0]
    assert row["event_type"] == "rating"
    time_us = int(row["timestamp"].timestamp()) * 1_000_000
    assert row["event_id"] == derived_event_id(row["user_id"], row["item_id"], "rating", time_us)
    assert row["event_key"] == event_key(row["event_id"])


@pytest.fixture
def few_events(settings: Settings) -> Settings:
    """Three users: one with a past, a change of mind and a removal, one who asked to be forgotten, one active now."""
    create_tables(settings.root)
    write(
        settings,
        "items",
        [
            {"item_id": "i1", "title": "A", "categories": ["drama", "crime"], "year": 2000},
            {"item_id": "i2", "title": "B", "categories": ["drama"], "year": 2001},
        ],
    )
    past = NOW - 100 * DAY
    write(
        settings,
        "interaction_history",
        [interaction("u1", "i1", past, rating=2.0), interaction("u2", "i1", past, rating=1.0)],
    )
    events = [
        interaction("u1", "i1", NOW - 20 * DAY, rating=4.0),
        interaction("u1", "i2", NOW - 5 * DAY, rating=5.0),
        interaction("u1", "i2", NOW - 4 * DAY, "remove"),
        interaction("u2", "i2", NOW - 3 * DAY, rating=3.0),
        interaction("u2", None, NOW - 2 * DAY, "forget"),
        interaction("u2", "i2", NOW - DAY, "view"),
        interaction("u3", "i2", NOW, "click"),
        interaction("u9", "i2", NOW + DAY, rating=1.0),
    ]
    positions = [{"topic_id": "id", "kafka_partition": 0, "kafka_offset": offset} for offset in range(len(events))]
    write(settings, "interactions", [event | position for event, position in zip(events, positions, strict=True)])
    append_rows(settings.root, settings.streaming.topic, "id", [LedgerRow(0, 0, 7, accepted=7)])
    return settings


def test_profiles_hold_what_stands_and_only_that(spark: SparkSession, few_events: Settings) -> None:
    assert refresh_user_profiles(spark, few_events) == 3
    assert refresh_item_profiles(spark, few_events) == 2
    assert refresh_item_profiles(spark, few_events) == 2, "a refresh replaces the table"

    users = {row.pop("user_id"): row for row in read_table(few_events.root, "user_profiles").to_pylist()}
    assert sorted(users) == ["u1", "u2", "u3"], "the last event is not in the ledger yet"
    assert dict(users["u1"].pop("category_shares")) == pytest.approx({"crime": 2 / 5, "drama": 3 / 5})
    assert users["u1"] == {
        "interactions": 3,
        "ratings": 1,
        "mean_rating": 4.0,
        "first_interaction": NOW - 100 * DAY,
        "last_interaction": NOW - 5 * DAY,
        "interactions_7_days": 1,
        "interactions_30_days": 2,
        "as_of": NOW,
    }
    assert (users["u2"]["interactions"], users["u2"]["ratings"], users["u2"]["mean_rating"]) == (1, 0, None)
    items = {row.pop("item_id"): row for row in read_table(few_events.root, "item_profiles").to_pylist()}
    assert (items["i1"]["users"], items["i1"]["interactions"], items["i1"]["ratings"]) == (1, 2, 1)
    assert (items["i2"]["users"], items["i2"]["interactions"], items["i2"]["ratings"]) == (3, 3, 0)


def test_the_catalogue_is_replaced_and_read_without_a_jvm(settings: Settings) -> None:
    assert import_items(settings) == import_items(settings) == 9_066
    script = (
        "import json, os, sys; from pathlib import Path; os.environ['PATH'] = ''; os.environ.pop('JAVA_HOME', None)\n"
        "from recommender_assets.ingestion.tables import read_table\n"
        "print(json.dumps([read_table(Path(sys.argv[1]), 'items').num_rows, 'pyspark' in sys.modules]))"
    )
    command = [sys.executable, "-c", script, str(settings.root)]
    # Several at once: a read that leaves threads of its own behind aborts only now and then, at the process's exit.
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    answers = [reader.communicate(timeout=60) for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0, 0, 0], answers
    assert [json.loads(output) for output, _ in answers] == [[9_066, False]] * 4
