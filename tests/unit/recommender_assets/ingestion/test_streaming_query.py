"""The order in which a micro-batch is committed, without Spark; `tests/integration` has the real query."""

import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from recommender_assets.ingestion import micro_batch, streaming_query
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.ledger import contiguity_gaps, ledger_position
from recommender_assets.ingestion.micro_batch import PartitionCounts, WrittenBatch
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.streaming_query import Ingestion, _records, ingest_available, ingest_or_report
from recommender_assets.ingestion.tables import create_tables, read_table, table_path
from recommender_assets.ingestion.topic_position import TopicReplacedError
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.settings import Settings, load_settings

TOPIC = "user_interactions"
NO_SPARK: Any = None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    loaded = load_settings(Path(__file__).parents[4] / "config.yaml", {"RECOMMENDER__STORAGE__ROOT": str(tmp_path)})
    create_tables(loaded.root)
    return loaded


def plan(ingestion: Ingestion, batch_id: int, ends: dict[int, int]) -> None:
    """What Spark writes before it hands a micro-batch over."""
    log = ingestion.checkpoint / "offsets" / str(batch_id)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"v1\n{{}}\n{json.dumps({TOPIC: ends})}", encoding="utf-8")


def counted(monkeypatch: pytest.MonkeyPatch, counts: dict[int, PartitionCounts]) -> None:
    monkeypatch.setattr(streaming_query, "write_micro_batch", lambda *_: WrittenBatch([], [], counts))
    monkeypatch.setattr(streaming_query, "require_same_topic", lambda *_: None)


def test_each_batch_goes_on_where_the_one_before_it_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion = Ingestion(settings, "id", {0: 5, 1: 7}, None)
    counted(monkeypatch, {0: PartitionCounts(accepted=1, duplicate=1, rejected=1)})
    plan(ingestion, 0, {0: 9, 1: 7})
    ingestion.write(NO_SPARK, 0)
    counted(
        monkeypatch, {0: PartitionCounts(accepted=1), 1: PartitionCounts(accepted=2), 2: PartitionCounts(rejected=3)}
    )
    plan(ingestion, 1, {0: 10, 1: 9, 2: 3})
    ingestion.write(NO_SPARK, 1)

    assert [batch.rows for batch in ingestion.batches] == [
        [LedgerRow(0, 5, 9, 1, 1, 1)],
        [LedgerRow(0, 9, 10, 1), LedgerRow(1, 7, 9, 2), LedgerRow(2, 0, 3, rejected=3)],
    ]
    assert ledger_position(settings.root, TOPIC).next_offsets == {0: 10, 1: 9, 2: 3}
    assert contiguity_gaps(settings.root) == []
    rows = read_table(settings.root, "ingestion_ledger", ["generation", "batch_id", "topic_id", "read"]).to_pylist()
    assert {(row["generation"], row["topic_id"]) for row in rows} == {(ingestion.generation, "id")}
    assert sorted((row["batch_id"], row["read"]) for row in rows) == [(0, 3), (1, 1), (1, 2), (1, 3)]


def test_rejected_records_are_committed_first_and_the_ledger_last(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that sees a ledger row sees what it counts; a reader that sees an event sees what it was told from."""
    written: list[str] = []
    monkeypatch.setattr(streaming_query, "write_micro_batch", lambda *_: WrittenBatch([], [], {}))
    monkeypatch.setattr(streaming_query, "require_same_topic", lambda *_: written.append("same topic"))
    monkeypatch.setattr(micro_batch, "commit_files", lambda _, name, *__: written.append(name))
    monkeypatch.setattr(streaming_query, "append_rows", lambda *_, **__: written.append("ledger"))
    ingestion = Ingestion(settings, "id", {0: 0}, None)
    plan(ingestion, 0, {0: 2})
    ingestion.write(NO_SPARK, 0)
    assert written == ["same topic", "rejected_events", "interactions", "ledger"]


def test_a_range_that_holds_no_record_is_read_all_the_same(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion = Ingestion(settings, "id", {0: 0}, None)
    counted(monkeypatch, {})
    plan(ingestion, 0, {0: 2})
    ingestion.write(NO_SPARK, 0)
    assert [batch.rows for batch in ingestion.batches] == [[LedgerRow(0, 0, 2)]]


def test_a_batch_that_fails_has_no_ledger_row_and_is_planned_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk is full")

    ingestion = Ingestion(settings, "id", {0: 0}, None)
    plan(ingestion, 0, {0: 2})
    monkeypatch.setattr(streaming_query, "write_micro_batch", fail)
    with pytest.raises(OSError, match="disk is full"):
        ingestion.write(NO_SPARK, 0)
    assert read_table(settings.root, "ingestion_ledger").num_rows == 0
    assert (ingestion.next_offsets, ingestion.batches) == ({0: 0}, [])


def broker_says(monkeypatch: pytest.MonkeyPatch, starts: dict[int, int], ends: dict[int, int]) -> None:
    monkeypatch.setattr(streaming_query, "starting_offsets", lambda *_: ("id", starts, ends))


def test_nothing_new_starts_no_query_but_clears_what_a_killed_run_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_rows(settings.root, TOPIC, "id", [LedgerRow(0, 0, 2, accepted=2)])
    rows = [{"topic_id": "id", "kafka_partition": 0, "kafka_offset": offset} for offset in (0, 1, 2)]
    left = pa.Table.from_pylist(rows, schema=SCHEMAS["interactions"])
    ahead = CommitProperties(app_transactions=[Transaction("ingestion", 2**62)])
    write_deltalake(table_path(settings.root, "interactions"), left, mode="append", commit_properties=ahead)
    (settings.root / "checkpoints" / "of-a-killed-run").mkdir(parents=True)
    broker_says(monkeypatch, {0: 2}, {0: 2})
    report = ingest_available(NO_SPARK, settings)
    assert (report.batches, report.read, report.position.next_offsets) == (0, 0, {0: 2})
    assert not (settings.root / "checkpoints").exists()
    assert read_table(settings.root, "interactions", ["kafka_offset"])["kafka_offset"].to_pylist() == [0, 1]


def test_the_report_adds_up_all_batches(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Query:
        def __init__(self, _: object, ingestion: Ingestion, **trigger: object) -> None:
            self.ingestion = ingestion
            assert trigger == {"availableNow": True}

        def awaitTermination(self) -> None:  # noqa: N802 - Spark's name
            for batch_id, end in enumerate((5, 8)):
                plan(self.ingestion, batch_id, {0: end})
                self.ingestion.write(NO_SPARK, batch_id)

        def stop(self) -> None:
            pass

    counted(monkeypatch, {0: PartitionCounts(accepted=1, duplicate=0, rejected=2)})
    broker_says(monkeypatch, {0: 0}, {0: 8})
    monkeypatch.setattr(streaming_query, "start_query", Query)
    report = ingest_available(NO_SPARK, settings)
    assert (report.batches, report.read, report.accepted, report.duplicate, report.rejected) == (2, 6, 2, 0, 4)
    assert (report.position.topic_id, report.position.next_offsets) == ("id", {0: 8})


def test_a_topic_that_cannot_go_on_leaves_every_row_where_it_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise TopicReplacedError("another topic")

    rows = pa.Table.from_pylist([{"topic_id": "id", "kafka_offset": 0}], schema=SCHEMAS["interactions"])
    write_deltalake(table_path(settings.root, "interactions"), rows, mode="append")
    monkeypatch.setattr(streaming_query, "starting_offsets", refuse)
    with pytest.raises(TopicReplacedError):
        ingest_available(NO_SPARK, settings)
    assert read_table(settings.root, "interactions").num_rows == 1
    with WriterLease(settings.root, "afterwards"):
        pass


def test_nothing_is_asked_or_read_while_another_writes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    broker_says(monkeypatch, {0: 0}, {0: 0})
    with WriterLease(settings.root, "vacuum"), pytest.raises(WriterBusyError, match="vacuum"):
        ingest_available(NO_SPARK, settings)


def test_a_batch_that_spark_plans_while_it_is_stopped_is_not_begun(settings: Settings) -> None:
    ingestion = Ingestion(settings, "id", {0: 0}, None)
    ingestion.finish()
    ingestion.write(NO_SPARK, 0)
    assert ingestion.batches == []


def test_stopping_waits_for_the_batch_that_is_being_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(monkeypatch, {0: PartitionCounts(accepted=2)})
    is_writing, may_go_on = threading.Event(), threading.Event()

    def pause(*_: object) -> None:
        is_writing.set()
        assert may_go_on.wait(10)

    monkeypatch.setattr(streaming_query, "require_same_topic", pause)
    ingestion = Ingestion(settings, "id", {0: 0}, None)
    plan(ingestion, 0, {0: 2})
    writer = threading.Thread(target=ingestion.write, args=(NO_SPARK, 0))
    stopper = threading.Thread(target=ingestion.finish)
    writer.start()
    assert is_writing.wait(10)
    stopper.start()
    stopper.join(0.05)
    assert stopper.is_alive()
    may_go_on.set()
    stopper.join(10)
    writer.join(10)
    assert ledger_position(settings.root, TOPIC).next_offsets == {0: 2}


def test_a_topic_that_is_created_anew_while_a_batch_is_read_commits_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(*_: object) -> None:
        raise TopicReplacedError("created anew")

    class Written(WrittenBatch):
        def commit(self, *_: object) -> None:
            pytest.fail("committed")

    monkeypatch.setattr(streaming_query, "write_micro_batch", lambda *_: Written([], [], {}))
    monkeypatch.setattr(streaming_query, "require_same_topic", replaced)
    ingestion = Ingestion(settings, "id", {0: 0}, None)
    plan(ingestion, 0, {0: 2})
    with pytest.raises(TopicReplacedError):
        ingestion.write(NO_SPARK, 0)
    assert read_table(settings.root, "ingestion_ledger").num_rows == 0


def no_session() -> Any:
    pytest.fail("Spark was started")


def test_while_stream_writes_the_asset_only_says_up_to_where(settings: Settings) -> None:
    append_rows(settings.root, TOPIC, "id", [LedgerRow(0, 0, 7, accepted=7)])
    with WriterLease(settings.root, "stream"):
        report = ingest_or_report(no_session, settings)
    assert (report.writer, report.read, report.position.next_offsets) == ("stream", 0, {0: 7})
    with WriterLease(settings.root, "optimize"), pytest.raises(WriterBusyError, match="optimize"):
        ingest_or_report(no_session, settings)


def test_nothing_to_read_starts_no_spark(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    broker_says(monkeypatch, {0: 0}, {0: 0})
    assert ingest_or_report(no_session, settings).writer == ""


class FakeSpark:
    """Takes the options of a stream and, started, plays one micro-batch or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.chosen: dict[str, str] = {}
        self.error = error
        self.stopped = False
        self.readStream = self.writeStream = self.sparkContext = self
        self.defaultParallelism = 2

    def format(self, name: str) -> "FakeSpark":
        assert name == "kafka"
        return self

    def options(self, **chosen: str) -> "FakeSpark":
        self.chosen |= chosen
        return self

    def option(self, name: str, value: str) -> "FakeSpark":
        return self.options(**{name: value})

    def trigger(self, *, availableNow: bool) -> "FakeSpark":  # noqa: N803 - Spark's name
        assert availableNow
        return self

    def foreachBatch(self, _: object) -> "FakeSpark":  # noqa: N802 - Spark's name
        return self

    def load(self) -> "FakeSpark":
        return self

    def start(self) -> "FakeSpark":
        Path(self.chosen["checkpointLocation"]).mkdir(parents=True)
        return self

    def awaitTermination(self) -> None:  # noqa: N802 - Spark's name
        if self.error:
            raise self.error

    def stop(self) -> None:
        self.stopped = True


def test_the_source_starts_at_the_ledgers_position_and_skips_nothing(settings: Settings) -> None:
    spark: Any = FakeSpark()
    _records(spark, settings, {0: 12, 1: 0})
    assert json.loads(spark.chosen["startingOffsets"]) == {TOPIC: {"0": 12, "1": 0}}
    assert spark.chosen["failOnDataLoss"] == "true"
    assert spark.chosen["kafka.isolation.level"] == "read_committed"
    assert spark.chosen["maxOffsetsPerTrigger"] == str(settings.streaming.max_records_per_batch)
    assert spark.chosen["subscribe"] == TOPIC
    assert spark.chosen["minPartitions"] == "2", "a topic of one partition keeps all cores busy"


@pytest.mark.parametrize("error", [None, RuntimeError("a batch failed")])
def test_no_checkpoint_outlives_its_query(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    broker_says(monkeypatch, {0: 0}, {0: 1})
    left_by_a_killed_run = settings.root / "checkpoints" / "old"
    left_by_a_killed_run.mkdir(parents=True)
    spark: Any = FakeSpark(error)
    try:
        ingest_available(spark, settings)
    except RuntimeError as raised:
        assert raised is error  # noqa: PT017 - the same query either way
    assert spark.stopped
    assert Path(spark.chosen["checkpointLocation"]).parent == settings.root / "checkpoints"
    assert not (settings.root / "checkpoints").exists()
