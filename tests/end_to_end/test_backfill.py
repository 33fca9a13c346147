"""A backfill as a person launches it in the Dagster UI: 20 years of months of a CSV file, in one run."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recommender_assets.ingestion.month_range import MonthRange, write_history_range
from recommender_assets.ingestion.tables import create_tables, read_table
from recommender_assets.local.broker import free_port
from recommender_assets.local.dagster_client import DagsterClient, RunWatch
from recommender_assets.local.processes import Processes
from recommender_assets.settings import Settings, load_settings

PROJECT = Path(__file__).parents[2]
ROWS = [
    ("ann", "1", "4", "1995-01-01T00:00:00Z"),
    ("ann", "2", "3.5", "2003-07-09T12:00:00Z"),
    ("bob", "2", "5", "2014-12-31T23:59:59Z"),
    ("bob", "3", "99", "2014-01-01T00:00:00Z"),
]


@pytest.fixture
def settings(tmp_path: Path, jars: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a project folder with a CSV history, as environment variables for the processes."""
    history = tmp_path / "ratings.csv"
    history.write_text("\n".join(map(",".join, [("user_id", "item_id", "rating", "timestamp"), *ROWS])), "utf-8")
    (tmp_path / "dagster.yaml").symlink_to(PROJECT / "dagster.yaml")
    environ = {
        "RECOMMENDER_CONFIG": str(PROJECT / "config.yaml"),
        "RECOMMENDER__STORAGE__ROOT": str(tmp_path / "data"),
        "RECOMMENDER__SPARK__JARS_DIRECTORY": str(jars / "spark"),
        "RECOMMENDER__HISTORY__SOURCE": "csv",
        "RECOMMENDER__HISTORY__PATH": str(history),
        "DAGSTER_HOME": str(tmp_path),
        "PYTHONPATH": str(PROJECT),
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ=dict(os.environ))
    create_tables(settings.root)
    write_history_range(settings, lambda: MonthRange(first_month="1995-01", last_month="2014-12"))
    return settings


@pytest.fixture
def dagster(settings: Settings, tmp_path: Path) -> Iterator[tuple[DagsterClient, Processes]]:
    port = free_port(0)
    server = [sys.executable, "-m", "dagster_webserver", "-m", "recommender_assets.definitions", "--port", str(port)]
    with Processes(tmp_path / "processes") as processes, DagsterClient(f"http://127.0.0.1:{port}") as client:
        processes.start("webserver", server)
        deadline = time.monotonic() + 120
        while not client.is_loaded():
            processes.require_alive()
            assert time.monotonic() < deadline, "the webserver did not load the definitions"
            time.sleep(0.2)
        yield client, processes


def test_twenty_years_of_months_are_one_run(settings: Settings, dagster: tuple[DagsterClient, Processes]) -> None:
    client, processes = dagster
    months = client.missing_partitions("interaction_history")
    assert (len(months), months[0], months[-1]) == (240, "1995-01", "2014-12")
    backfill = client.launch_backfill(["interaction_history"], months)
    # The daemon looks for backfills when it starts, and then every 30 s.
    processes.start("daemon", [sys.executable, "-m", "dagster._daemon", "run", "-m", "recommender_assets.definitions"])
    steps: list[str] = []
    watch = RunWatch(
        lambda: client.runs_of_backfill(backfill), lambda step: steps.append(step.name), processes.require_alive
    )
    watch.wait_for_success(1, 240)
    assert steps == ["interaction_history"]
    assert len(client.runs_of_backfill(backfill)) == 1
    assert client.missing_partitions("interaction_history") == [], "empty months are materialised too"
    rows = read_table(settings.root, "interaction_history").sort_by("timestamp").to_pylist()
    assert [(row["user_id"], row["item_id"], row["rating"]) for row in rows] == [
        ("ann", "1", 4.0),
        ("ann", "2", 3.5),
        ("bob", "2", 5.0),
    ]
    rejected = read_table(settings.root, "rejected_history", ["reason"]).to_pylist()
    assert rejected == [{"reason": "rating_out_of_scale"}]
