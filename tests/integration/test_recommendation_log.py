"""Served lists from a real broker into Delta: each exactly once, whatever happens in between."""

import time
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from recommender_assets.ingestion import served_lists
from recommender_assets.ingestion.kafka_admin import admin_client
from recommender_assets.ingestion.served_lists import LogBusyError, ingest_served_lists, unread
from recommender_assets.ingestion.served_lists_checks import log_offsets_are_contiguous
from recommender_assets.ingestion.tables import read_table
from recommender_assets.ingestion.topic_position import topic_state
from recommender_assets.local.topic import create_log_topic, delete_topics
from recommender_assets.settings import Settings
from recommender_serving.engine.recommendation_log import ServedList, encode_served_list


def served(number: int, **changes: Any) -> bytes:
    fields = {
        "ranking_id": f"r{number}",
        "user_id": f"u{number}",
        "served_at_us": 1_700_000_000_000_000 + number,
        "items": ("a", "b"),
        "algorithm": "svd",
        "version": "svd-1",
        "source": "personalized",
        "logged_share": 1.0,
    }
    return encode_served_list(ServedList(**fields | changes))  # type: ignore[arg-type]


def send(settings: Settings, *values: bytes | None, partition: int = 0, producer: Producer | None = None) -> None:
    producer = producer or Producer({"bootstrap.servers": settings.streaming.kafka_bootstrap_servers})
    for value in values:
        producer.produce(settings.recommendation_log.topic, value, key=b"k", partition=partition)
    assert producer.flush(30) == 0


def stored(settings: Settings) -> list[str]:
    return sorted(read_table(settings.root, "recommendation_log", ["ranking_id"])["ranking_id"].to_pylist())


def rejected(settings: Settings) -> list[bytes | None]:
    rows = read_table(settings.root, "rejected_lists").sort_by("kafka_offset")
    values: list[bytes | None] = rows["value"].to_pylist()
    return values


@pytest.fixture
def log(settings: Settings) -> Settings:
    create_log_topic(settings)
    return settings


def test_every_record_becomes_one_row_and_a_restart_reads_on(log: Settings) -> None:
    assert not create_log_topic(log)
    extra = {"experiment": "e", "variant": "interleaved", "teams": ("control", "treatment")}
    send(log, served(0), served(1, **extra, treatment_algorithm="nmf", treatment_version="n"), b"{nonsense", None)
    send(log, served(2), partition=1)
    report = ingest_served_lists(log)
    assert (report.accepted, report.rejected, report.lost) == (3, 2, 0)
    assert report.next_offsets == {0: 4, 1: 1}
    assert stored(log) == ["r0", "r1", "r2"]
    assert rejected(log) == [b"{nonsense", None]
    row = read_table(log.root, "recommendation_log").sort_by("ranking_id").to_pylist()[1]
    assert (row["user_id"], row["items"], row["teams"]) == ("u1", ["a", "b"], ["control", "treatment"])
    assert row["served_at"].isoformat() == "2023-11-14T22:13:20.000001+00:00"
    assert (row["experiment"], row["variant"], row["forced"]) == ("e", "interleaved", False)
    assert (row["treatment_version"], row["kafka_partition"], row["kafka_offset"]) == ("n", 0, 1)
    again = ingest_served_lists(log)
    assert (again.accepted, again.rejected, again.next_offsets) == (0, 0, {0: 4, 1: 1})
    send(log, served(3), partition=1)
    assert ingest_served_lists(log).accepted == 1
    assert stored(log) == ["r0", "r1", "r2", "r3"]
    fact = log_offsets_are_contiguous(log)
    assert (fact.passed, dict(fact.numbers)) == (True, {"findings": 0, "expired_before_read": 0})


def test_aborted_transactions_do_not_count_and_their_markers_do_not_block(log: Settings) -> None:
    servers = log.streaming.kafka_bootstrap_servers
    writer = Producer({"bootstrap.servers": servers, "transactional.id": log.recommendation_log.topic, "log_level": 2})
    writer.init_transactions(20)
    writer.begin_transaction()
    send(log, served(0), producer=writer)
    writer.commit_transaction(20)
    writer.begin_transaction()
    send(log, served(1), producer=writer)
    writer.abort_transaction(20)
    report = ingest_served_lists(log)
    assert (report.accepted, report.next_offsets) == (1, {0: 4, 1: 0})
    topic_id, marks = topic_state(log.streaming, log.recommendation_log.topic)
    assert unread(log.root, topic_id, marks) == 0
    assert ingest_served_lists(log).accepted == 0
    assert log_offsets_are_contiguous(log).passed


def test_a_run_that_dies_between_the_two_tables_loses_and_doubles_nothing(
    log: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(log, served(0), b"bad", served(1))
    write = served_lists._write

    def dies(table: Any, name: str, *rest: Any) -> None:
        if name == "recommendation_log":
            raise KeyboardInterrupt
        write(table, name, *rest)  # type: ignore[arg-type]

    for _ in range(2):
        monkeypatch.setattr(served_lists, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            ingest_served_lists(log)
        assert (stored(log), rejected(log)) == ([], [b"bad"])
        monkeypatch.undo()
    send(log, b"worse")
    assert ingest_served_lists(log).accepted == 2
    assert (stored(log), rejected(log)) == (["r0", "r1"], [b"bad", b"worse"])
    assert log_offsets_are_contiguous(log).passed


@pytest.mark.parametrize("moment", ["before the position is compared", "after it"])
def test_of_two_runs_at_once_one_gives_up(log: Settings, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    send(log, served(0), b"bad")
    name = "_commit" if moment.startswith("before") else "_write"
    work = getattr(served_lists, name)

    def overtaken(*arguments: Any) -> Any:
        if moment.startswith("before") or arguments[1] == "recommendation_log":
            monkeypatch.setattr(served_lists, name, work)
            assert ingest_served_lists(log).accepted == 1
        return work(*arguments)

    monkeypatch.setattr(served_lists, name, overtaken)
    with pytest.raises(LogBusyError, match="nothing was written twice"):
        ingest_served_lists(log)
    assert (stored(log), rejected(log)) == (["r0"], [b"bad"])
    assert log_offsets_are_contiguous(log).passed


def test_a_long_backlog_is_stored_in_portions(log: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_lists, "_LARGEST_COMMIT", 100)
    monkeypatch.setattr(served_lists, "_AT_ONCE", 30)
    for partition in (0, 1):
        send(log, *(served(number * 2 + partition) for number in range(250)), partition=partition)
    assert ingest_served_lists(log).accepted == 500
    assert stored(log) == sorted(f"r{number}" for number in range(500))
    assert log_offsets_are_contiguous(log).passed


def test_expired_records_are_stated_and_a_topic_created_anew_is_read_from_its_beginning(log: Settings) -> None:
    topic = log.recommendation_log.topic
    send(log, served(0))
    ingest_served_lists(log)
    send(log, *(served(number) for number in range(1, 6)))
    client = admin_client(log.streaming)
    for future in client.delete_records([TopicPartition(topic, 0, 4)]).values():
        future.result(10)
    report = ingest_served_lists(log)
    assert (report.accepted, report.lost) == (2, 3)
    fact = log_offsets_are_contiguous(log)
    assert (fact.passed, fact.numbers["expired_before_read"]) == (True, 3)
    delete_topics(log.streaming, [topic])
    while not create_log_topic(log):
        time.sleep(0.05)
    send(log, served(6))
    assert ingest_served_lists(log).next_offsets == {0: 1, 1: 0}
    assert stored(log) == ["r0", "r4", "r5", "r6"]
    assert log_offsets_are_contiguous(log).passed
