import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.local import doctor
from recommender_assets.local.doctor import Finding, examine, port_is_taken
from recommender_assets.settings import Settings, load_settings

PROJECT = Path(__file__).parents[4]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        PROJECT / "config.yaml",
        {
            "RECOMMENDER__STORAGE__ROOT": str(tmp_path),
            "RECOMMENDER__STREAMING__KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        },
    )


@pytest.fixture
def findings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Finding]:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("recommender_assets.local.doctor.KAFKA_TIMEOUT_SECONDS", 0.5)
    return {finding.subject: finding for finding in examine(settings)}


def test_java_and_jars_of_a_set_up_machine_are_well(findings: dict[str, Finding]) -> None:
    assert findings["Java"].is_well
    assert findings["jars"].is_well


def test_a_missing_broker_is_named_with_its_address_and_the_setting(findings: dict[str, Finding]) -> None:
    assert not findings["Kafka"].is_well
    assert "127.0.0.1:9" in findings["Kafka"].detail
    assert "streaming.kafka_bootstrap_servers" in findings["Kafka"].detail


def test_missing_tables_and_champion_are_named_with_the_command_that_makes_them(findings: dict[str, Finding]) -> None:
    assert not findings["table interactions"].is_well
    assert "recommender init-tables" in findings["table interactions"].detail
    assert "recommender train" in findings["champion"].detail


def test_tables_that_exist_are_well(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    create_tables(settings.root)
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("recommender_assets.local.doctor.KAFKA_TIMEOUT_SECONDS", 0.5)
    tables = [finding for finding in examine(settings) if finding.subject.startswith("table ")]
    assert len(tables) == len(SCHEMAS)
    assert all(finding.is_well for finding in tables)


def test_a_port_is_taken_while_something_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_is_taken(port)
    assert not port_is_taken(port)


def test_a_missing_lock_file_is_a_finding_and_no_end_of_the_examination(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recommender_assets.local.doctor.KAFKA_TIMEOUT_SECONDS", 0.5)
    findings = {finding.subject: finding for finding in examine(settings)}
    assert not findings["jars"].is_well
    assert "from the project's folder" in findings["jars"].detail
    assert "champion" in findings


def test_either_topic_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    topics: dict[str, SimpleNamespace] = {}
    client = SimpleNamespace(list_topics=lambda **_: SimpleNamespace(topics=topics))
    monkeypatch.setattr(doctor, "admin_client", lambda _: client)
    settings = load_settings(PROJECT / "config.yaml", {})
    mend = "run `recommender init-tables`"
    assert doctor._broker(settings).detail.endswith(f"no topic user_interactions, recommendation_log: {mend}")
    topics["user_interactions"] = SimpleNamespace(partitions={0: None})
    assert doctor._broker(settings).detail.endswith(f"no topic recommendation_log: {mend}")
    topics["recommendation_log"] = SimpleNamespace(partitions={0: None, 1: None})
    finding = doctor._broker(settings)
    assert finding.is_well
    assert finding.detail.endswith(
        "topic user_interactions with 1 partitions, topic recommendation_log with 2 partitions"
    )
