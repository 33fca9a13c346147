import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from recommender_assets.defs import automation
from recommender_assets.defs.automation import kafka_offset_sensor, retraining_sensor
from recommender_assets.defs.jobs import ingest_job, recommendation_job, train_job
from recommender_assets.ingestion import topic_position
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.tables import create_tables, read_table, table_version
from recommender_assets.ingestion.topic_position import TopicMissingError, Watermarks
from recommender_assets.ingestion.writer_lease import WriterLease
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.decisions import append_decision, row_of_contest
from recommender_assets.promotion.policy import Decision
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.champion_pointer import ChampionPointer, write_pointer
from recommender_serving.engine.factor_model import Position
from tests.histories import write_history

TOPIC = "user_interactions"
OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(environ={"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> dict[int, Watermarks]:
    """Watermarks that the sensor sees; tests change them."""
    marks = {0: Watermarks(0, 10)}
    monkeypatch.setattr(automation, "topic_state", lambda *_: ("topic-1", marks))
    return marks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr("recommender_assets.defs.automation.time.time", lambda: now[0])
    return now


def tick(
    sensor: dg.SensorDefinition, settings: Settings, instance: dg.DagsterInstance, cursor: str | None = None
) -> Any:
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"settings": settings}) as context:
        return sensor.evaluate_tick(context)


def ledger(settings: Settings, next_offset: int, accepted: int) -> None:
    create_tables(settings.root)
    append_rows(settings.root, TOPIC, "topic-1", [LedgerRow(0, 0, next_offset, accepted=accepted)])


def champion(settings: Settings) -> None:
    pointer = ChampionPointer(
        version="svd-1", predecessor=None, deployed={"svd": "svd-1"}, promoted_at="2026-01-01T00:00:00Z"
    )
    write_pointer(settings.root, pointer)


def decided(settings: Settings, next_offset: int, history_version: int | None = None) -> None:
    versions = {} if history_version is None else {"interaction_history": history_version}
    position = Position(topic=TOPIC, topic_id="topic-1", next_offsets={"0": next_offset}, table_versions=versions)
    contest = Contest(position=position, hold_out=1, candidates=(), champion=None)
    decision = Decision(promoted=False, champion="svd-1", predecessor=None, reason="", verdicts=())
    append_decision(settings.root, row_of_contest(contest, decision, "rmse", None))


def unfinished_run(instance: dg.DagsterInstance, job: Any, status: dg.DagsterRunStatus) -> None:
    resolved = dg.Definitions(jobs=[dg.job(name=job.name, tags=job.tags)(lambda: None)]).get_job_def(job.name)
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("recommender_assets"), "__repository__")
    origin = RemoteJobOrigin(repository, job.name)
    instance.create_run_for_job(resolved, status=status, tags=dict(job.tags), remote_job_origin=origin)


def test_the_first_events_start_everything_up_to_a_champion(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks]
) -> None:
    result = tick(kafka_offset_sensor, settings, instance)
    assert [request.job_name for request in result.run_requests] == ["recommendation_job"]
    assert result.run_requests[0].run_key is None
    cursor = msgspec.json.decode(result.cursor)
    assert (cursor["topic_id"], cursor["end_offsets"]) == ("topic-1", {"0": 10})
    assert result.asset_events[0].metadata["pending"].value == 10


def test_with_a_champion_new_events_are_only_ingested(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks]
) -> None:
    champion(settings)
    ledger(settings, next_offset=4, accepted=4)
    result = tick(kafka_offset_sensor, settings, instance)
    assert [request.job_name for request in result.run_requests] == ["ingest_job"]


def test_nothing_new_is_skipped(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks]
) -> None:
    ledger(settings, next_offset=10, accepted=10)
    result = tick(kafka_offset_sensor, settings, instance)
    assert not result.run_requests
    assert result.skip_message == "nothing after the ledger's position"


@pytest.mark.parametrize("job", [ingest_job, recommendation_job], ids=lambda job: str(job.name))
@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_no_second_run_while_one_is_ingesting(
    settings: Settings,
    instance: dg.DagsterInstance,
    broker: dict[int, Watermarks],
    job: Any,
    status: dg.DagsterRunStatus,
) -> None:
    unfinished_run(instance, job, status)
    result = tick(kafka_offset_sensor, settings, instance)
    assert not result.run_requests
    assert "is ingesting" in result.skip_message


def test_a_failed_run_is_followed_by_another_after_a_pause(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], clock: list[float]
) -> None:
    first = tick(kafka_offset_sensor, settings, instance)
    unfinished_run(instance, recommendation_job, dg.DagsterRunStatus.FAILURE)
    clock[0] += 5
    second = tick(kafka_offset_sensor, settings, instance, first.cursor)
    assert not second.run_requests
    assert "brought no progress: next one in 25 s" in second.skip_message
    clock[0] += 25
    assert len(tick(kafka_offset_sensor, settings, instance, second.cursor).run_requests) == 1


def test_a_topic_that_was_created_anew_is_left_alone(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger(settings, next_offset=4, accepted=4)
    monkeypatch.setattr(automation, "topic_state", lambda *_: ("topic-2", broker))
    result = tick(kafka_offset_sensor, settings, instance)
    assert not result.run_requests
    assert "recommender accept-topic" in result.skip_message


def test_a_missing_topic_is_skipped(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> NoReturn:
        raise TopicMissingError("topic user_interactions does not exist")

    monkeypatch.setattr(automation, "topic_state", missing)
    result = tick(kafka_offset_sensor, settings, instance)
    assert not result.run_requests
    assert "does not exist" in result.skip_message


def test_a_broker_that_is_down_is_skipped(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_position, "_TIMEOUT_S", 0.3)
    streaming = msgspec.structs.replace(settings.streaming, kafka_bootstrap_servers="127.0.0.1:1")
    result = tick(kafka_offset_sensor, msgspec.structs.replace(settings, streaming=streaming), instance)
    assert not result.run_requests
    assert "no Kafka broker answered" in result.skip_message


def test_a_broker_that_stays_down_is_warned_of_once(
    settings: Settings,
    instance: dg.DagsterInstance,
    broker: dict[int, Watermarks],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def down(*_: object) -> NoReturn:
        raise topic_position.BrokerUnreachableError("no Kafka broker answered")

    cursor, warnings = None, []
    for state in (down, down, down, lambda *_: ("topic-1", broker), down, down):
        monkeypatch.setattr(automation, "topic_state", state)
        cursor = tick(kafka_offset_sensor, settings, instance, cursor).cursor
        warnings.append(capfd.readouterr().err.count("WARNING"))
    assert warnings == [1, 0, 0, 0, 1, 0]


def test_while_another_process_streams_a_run_reports_what_it_ingested(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks]
) -> None:
    champion(settings)
    ledger(settings, next_offset=4, accepted=4)
    with WriterLease(settings.root, "stream"):
        first = tick(kafka_offset_sensor, settings, instance)
        assert [request.job_name for request in first.run_requests] == ["ingest_job"]
        assert first.run_requests[0].tags["recommender/reason"].startswith("report of what stream (")
        instance.report_runless_asset_event(dg.AssetMaterialization("interactions"))
        reported = tick(kafka_offset_sensor, settings, instance, first.cursor)
        assert "everything in the ledger was reported" in reported.skip_message
        append_rows(settings.root, TOPIC, "topic-1", [LedgerRow(0, 4, 6, accepted=2)])
        soon = tick(kafka_offset_sensor, settings, instance, reported.cursor)
        assert "next report in" in soon.skip_message
    after = tick(kafka_offset_sensor, settings, instance, soon.cursor)
    assert after.run_requests[0].tags["recommender/reason"].startswith("4 unread records")


def test_training_that_keeps_failing_waits_for_a_person(
    settings: Settings, instance: dg.DagsterInstance, clock: list[float]
) -> None:
    ledger(settings, next_offset=10, accepted=7)
    cursor, requests, last = None, 0, ""
    for _ in range(12):
        result = tick(retraining_sensor, settings, instance, cursor)
        cursor, last = result.cursor, result.skip_message
        requests += len(result.run_requests)
        clock[0] += 1_800
    assert requests == settings.training.retrain_attempts
    assert "waits for a person" in last
    decided(settings, next_offset=0)
    ledger_grows = [LedgerRow(0, 10, 3_000, accepted=2_900)]
    append_rows(settings.root, TOPIC, "topic-1", ledger_grows)
    assert len(tick(retraining_sensor, settings, instance, cursor).run_requests) == 1


def test_a_burst_of_events_is_one_run(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks]
) -> None:
    champion(settings)
    ledger(settings, next_offset=4, accepted=4)
    decided(settings, next_offset=4)
    cursors: dict[str, str | None] = {}
    requests = {"kafka_offset_sensor": 0, "retraining_sensor": 0}
    jobs = {"kafka_offset_sensor": ingest_job, "retraining_sensor": train_job}
    for end in range(2_000, 12_000, 1_000):
        broker[0] = Watermarks(0, end)
        append_rows(settings.root, TOPIC, "topic-1", [LedgerRow(0, end - 1_000, end - 1, accepted=999)])
        for sensor in (kafka_offset_sensor, retraining_sensor):
            result = tick(sensor, settings, instance, cursors.get(sensor.name))
            cursors[sensor.name] = getattr(result, "cursor", None) or cursors.get(sensor.name)
            if getattr(result, "run_requests", None):
                requests[sensor.name] += 1
                unfinished_run(instance, jobs[sensor.name], dg.DagsterRunStatus.STARTED)
    assert requests == {"kafka_offset_sensor": 1, "retraining_sensor": 1}


@pytest.mark.parametrize(("accepted", "wanted"), [(1000, 1), (999, 0)])
def test_enough_new_interactions_start_training(
    settings: Settings, instance: dg.DagsterInstance, accepted: int, wanted: int
) -> None:
    decided(settings, next_offset=0)
    ledger(settings, next_offset=2000, accepted=accepted)
    result = tick(retraining_sensor, settings, instance)
    assert len(result.run_requests) == wanted
    if not wanted:
        assert result.skip_message == "999 of 1000 new interactions"


def test_nothing_ingested_is_nothing_to_train_on(settings: Settings, instance: dg.DagsterInstance) -> None:
    assert not tick(retraining_sensor, settings, instance).run_requests


def test_ingested_events_without_any_decision_are_trained_on(settings: Settings, instance: dg.DagsterInstance) -> None:
    ledger(settings, next_offset=10, accepted=7)
    assert len(tick(retraining_sensor, settings, instance).run_requests) == 1


def test_an_imported_history_alone_gets_its_champion_and_its_growth_a_new_training(
    settings: Settings, instance: dg.DagsterInstance, clock: list[float]
) -> None:
    def reasons(cursor: str | None) -> tuple[list[str], str]:
        clock[0] = dt.datetime.now(dt.UTC).timestamp() + 61  # the import is over
        result = tick(retraining_sensor, settings, instance, cursor)
        return [request.tags["recommender/reason"] for request in result.run_requests], result.cursor

    write_history(settings.root)
    rows = read_table(settings.root, "interaction_history").num_rows
    found, cursor = reasons(None)
    assert found == [f"{rows} interactions and no promotion decision yet"]
    decided(settings, next_offset=0, history_version=table_version(settings.root, "interaction_history"))
    found, cursor = reasons(cursor)
    assert found == []
    write_history(settings.root)
    assert reasons(cursor)[0] == [f"{rows} new interactions, retrain_after_interactions is 1000"]


def test_no_second_run_while_one_is_training(settings: Settings, instance: dg.DagsterInstance) -> None:
    ledger(settings, next_offset=10, accepted=7)
    unfinished_run(instance, recommendation_job, dg.DagsterRunStatus.NOT_STARTED)
    result = tick(retraining_sensor, settings, instance)
    assert not result.run_requests
    assert "is training" in result.skip_message


def test_failed_training_is_repeated_after_a_pause(
    settings: Settings, instance: dg.DagsterInstance, clock: list[float]
) -> None:
    ledger(settings, next_offset=10, accepted=7)
    first = tick(retraining_sensor, settings, instance)
    clock[0] += 29
    second = tick(retraining_sensor, settings, instance, first.cursor)
    assert not second.run_requests
    clock[0] += 1
    assert len(tick(retraining_sensor, settings, instance, second.cursor).run_requests) == 1


def test_every_partition_is_remembered_and_counted(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks]
) -> None:
    broker |= {2: Watermarks(5, 8), 1: Watermarks(0, 0)}
    ledger(settings, next_offset=4, accepted=4)
    result = tick(kafka_offset_sensor, settings, instance)
    cursor = msgspec.json.decode(result.cursor)
    assert list(cursor["end_offsets"].items()) == [("0", 10), ("1", 0), ("2", 8)]
    (seen,) = result.asset_events
    assert seen.asset_key == dg.AssetKey("user_interactions_topic")
    assert seen.metadata["pending"].value == 6 + 3
    assert seen.metadata["topic_id"].value == "topic-1"
    assert seen.metadata["end_offsets"].value == {"0": 10, "1": 0, "2": 8}


def test_a_skipped_tick_keeps_the_requests_made_so_far(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], clock: list[float]
) -> None:
    cursor = tick(kafka_offset_sensor, settings, instance).cursor
    requests = []
    for _ in range(44):
        clock[0] += 5
        result = tick(kafka_offset_sensor, settings, instance, cursor)
        cursor = result.cursor
        if result.run_requests:
            requests.append(clock[0] - 1_000.0)
        else:
            assert not result.asset_events
    assert requests == [30, 90, 210]


@pytest.mark.parametrize("error", [KafkaError._SSL, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_any_other_refusal_of_the_broker_is_skipped_and_names_it(
    settings: Settings,
    instance: dg.DagsterInstance,
    broker: dict[int, Watermarks],
    monkeypatch: pytest.MonkeyPatch,
    error: int,
) -> None:
    def refuse(*_: object) -> None:
        raise KafkaException(KafkaError(error, "no entry"))

    cursor = tick(kafka_offset_sensor, settings, instance).cursor
    monkeypatch.setattr(automation, "topic_state", refuse)
    result = tick(kafka_offset_sensor, settings, instance, cursor)
    assert not result.run_requests
    assert f"the broker at {settings.streaming.kafka_bootstrap_servers} does not answer" in result.skip_message
    assert "no entry" in result.skip_message
    before, after = msgspec.json.decode(cursor), msgspec.json.decode(result.cursor)
    assert after == before | {"is_broker_down": True}, "what was requested is not forgotten"


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_counts_until_it_is_over(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], status: str
) -> None:
    ledger(settings, next_offset=4, accepted=4)
    unfinished_run(instance, recommendation_job, dg.DagsterRunStatus(status))
    assert "is ingesting" in tick(kafka_offset_sensor, settings, instance).skip_message
    assert "is training" in tick(retraining_sensor, settings, instance).skip_message


@pytest.mark.parametrize("status", OVER)
def test_a_run_that_is_over_holds_up_nothing(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], status: dg.DagsterRunStatus
) -> None:
    ledger(settings, next_offset=4, accepted=4)
    unfinished_run(instance, recommendation_job, status)
    assert len(tick(kafka_offset_sensor, settings, instance).run_requests) == 1
    assert len(tick(retraining_sensor, settings, instance).run_requests) == 1


def test_ingestion_and_training_do_not_wait_for_each_other(settings: Settings, broker: dict[int, Watermarks]) -> None:
    ledger(settings, next_offset=4, accepted=4)
    with dg.DagsterInstance.ephemeral() as trains:
        unfinished_run(trains, train_job, dg.DagsterRunStatus.STARTED)
        assert len(tick(kafka_offset_sensor, settings, trains).run_requests) == 1
    with dg.DagsterInstance.ephemeral() as ingests:
        unfinished_run(ingests, ingest_job, dg.DagsterRunStatus.STARTED)
        assert len(tick(retraining_sensor, settings, ingests).run_requests) == 1


def test_a_refused_candidate_counts_as_a_decision(settings: Settings, instance: dg.DagsterInstance) -> None:
    ledger(settings, next_offset=2000, accepted=2000)
    decided(settings, next_offset=0)
    assert len(tick(retraining_sensor, settings, instance).run_requests) == 1
    decided(settings, next_offset=2000)
    assert tick(retraining_sensor, settings, instance).skip_message == "no new interactions"


@pytest.mark.parametrize("sensor", [kafka_offset_sensor, retraining_sensor], ids=lambda sensor: str(sensor.name))
def test_a_cursor_of_another_version_is_no_reason_to_stop(
    settings: Settings, instance: dg.DagsterInstance, broker: dict[int, Watermarks], sensor: dg.SensorDefinition
) -> None:
    ledger(settings, next_offset=4, accepted=4)
    assert len(tick(sensor, settings, instance, '{"offsets": [1, 2]}').run_requests) == 1
    assert len(tick(sensor, settings, instance, "4711").run_requests) == 1


def test_sensors_look_as_often_as_configured(settings: Settings) -> None:
    for sensor in (kafka_offset_sensor, retraining_sensor):
        assert sensor.minimum_interval_seconds == settings.dagster.sensor_interval_seconds
    assert {target.job_name for target in kafka_offset_sensor.targets} == {"ingest_job", "recommendation_job"}
    assert [target.job_name for target in retraining_sensor.targets] == ["train_job"]
