"""History, catalogue and profiles, written by real Spark and read without it."""

import datetime as dt
import json
import subprocess
import sys

import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

from recommender_assets.ingestion.catalogue import import_items
from recommender_assets.ingestion.history import import_history
from recommender_assets.ingestion.profiles.reading import read_profiles
from recommender_assets.ingestion.profiles.refresh import refresh_profiles
from recommender_assets.ingestion.tables import read_table
from recommender_assets.settings import Settings
from recommender_serving.engine.events import derived_event_id, event_key


def month(year: int, number: int) -> dt.datetime:
    return dt.datetime(year, number, 1, tzinfo=dt.UTC)


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


def test_profiles_follow_what_spark_writes(spark: SparkSession, settings: Settings) -> None:
    import_items(settings)
    import_history(spark, settings, month(2005, 1), month(2005, 3))
    assert refresh_profiles(settings).is_complete
    import_history(spark, settings, month(2005, 2), month(2005, 3))
    assert refresh_profiles(settings).users == 0, "the month holds the same rows in other files"
    import_history(spark, settings, month(2005, 3), month(2005, 4))
    refresh = refresh_profiles(settings)

    assert not refresh.is_complete
    users = read_profiles(settings.root, "user_profiles")
    history = read_table(settings.root, "interaction_history")
    assert 0 < refresh.users < users.num_rows
    assert pc.sum(users["interactions"]).as_py() == history.num_rows == pc.sum(users["ratings"]).as_py()
    assert pc.max(users["last_interaction"]) == pc.max(history["timestamp"])
    mean = pc.sum(pc.multiply(users["mean_rating"], users["ratings"])).as_py() / history.num_rows
    assert mean == pytest.approx(pc.mean(history["rating"]).as_py())
    items = read_profiles(settings.root, "item_profiles")
    assert pc.sum(items["users"]).as_py() == pc.sum(items["interactions"]).as_py() == history.num_rows
    assert pc.sum(items["interactions_7_days"]).as_py() == pc.sum(users["interactions_7_days"]).as_py() > 0


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
