from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.topic_position import BrokerUnreachableError, Watermarks
from recommender_assets.monitoring import topic_metrics
from recommender_assets.monitoring.topic_metrics import LAG, TopicMetrics
from recommender_assets.settings import Settings
from recommender_serving.engine.config import StorageSettings, StreamingSettings


@pytest.fixture
def settings(project_settings: Settings, tmp_path: Path) -> Settings:
    create_tables(tmp_path)
    return msgspec.structs.replace(
        project_settings,
        storage=StorageSettings(root=str(tmp_path)),
        streaming=StreamingSettings(kafka_bootstrap_servers="127.0.0.1:9", topic="events"),
    )


def lag(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, marks: Mapping[int, tuple[int, int]]
) -> Mapping[tuple[str, ...], float]:
    found = {partition: Watermarks(*mark) for partition, mark in marks.items()}
    monkeypatch.setattr(topic_metrics, "topic_state", lambda *_: ("now", found))
    return TopicMetrics(settings).read()[LAG]


def test_before_the_first_read_all_that_the_topic_holds_is_unread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lag(settings, monkeypatch, {0: (10, 25), 1: (0, 0)}) == {("0",): 15, ("1",): 0}


def test_the_lag_counts_from_the_ledgers_position(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    append_rows(settings.root, "events", "now", [LedgerRow(0, 0, 20), LedgerRow(1, 0, 5)])
    assert lag(settings, monkeypatch, {0: (10, 25), 1: (0, 5), 2: (1, 4)}) == {("0",): 5, ("1",): 0, ("2",): 3}


def test_of_a_topic_that_was_created_anew_nothing_is_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    append_rows(settings.root, "events", "before", [LedgerRow(0, 0, 20)])
    assert lag(settings, monkeypatch, {0: (0, 30)}) == {("0",): 30}


def test_a_lag_is_never_negative(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    append_rows(settings.root, "events", "now", [LedgerRow(0, 0, 20)])
    assert lag(settings, monkeypatch, {0: (0, 19)}) == {("0",): 0}


def test_a_broker_that_is_away_is_an_error_within_three_seconds(settings: Settings) -> None:
    with pytest.raises(BrokerUnreachableError, match="within 3 s"):
        TopicMetrics(settings).read()
