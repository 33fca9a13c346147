from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec
from deltalake import CommitProperties, Transaction, write_deltalake
from hypothesis import assume, given
from hypothesis import strategies as st

from recommender_assets.ingestion import topic_position
from recommender_assets.ingestion.commits import LedgerRow, append_rows
from recommender_assets.ingestion.ledger import LedgerPosition, ledger_position
from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_assets.ingestion.tables import create_tables, read_table, table_path, table_version
from recommender_assets.ingestion.topic_position import (
    BrokerUnreachableError,
    DataExpiredError,
    TopicMissingError,
    TopicReplacedError,
    Watermarks,
    accept_topic,
    acceptance_rows,
    starting_offsets,
    topic_id,
    verify_position,
    watermarks,
)
from recommender_assets.ingestion.writer_lease import WriterBusyError, WriterLease
from recommender_assets.settings import Settings, load_settings
from recommender_serving.engine.config import StreamingSettings

POSITION = LedgerPosition("events", "id", {0: 10, 1: 20})


def test_a_topic_that_goes_on_is_fine() -> None:
    verify_position(POSITION, "id", {0: Watermarks(10, 10), 1: Watermarks(0, 25), 2: Watermarks(0, 3)})


def test_anything_is_fine_before_the_first_read() -> None:
    verify_position(LedgerPosition("events"), "id", {0: Watermarks(5, 10)})


def test_another_topic_id_is_refused_and_the_message_names_the_command() -> None:
    with pytest.raises(TopicReplacedError, match=r"events was created anew.*other.*id; .*recommender accept-topic"):
        verify_position(POSITION, "other", {0: Watermarks(0, 99), 1: Watermarks(0, 99)})


def test_a_topic_that_lost_records_that_were_read_is_refused() -> None:
    with pytest.raises(TopicReplacedError, match="partition 1 ends at offset 19, but was read up to offset 20"):
        verify_position(POSITION, "id", {0: Watermarks(0, 10), 1: Watermarks(0, 19)})


def test_expired_records_are_refused_and_named() -> None:
    with pytest.raises(DataExpiredError, match=r"partition 0: offsets 10 to 11 expired .*accept-topic"):
        verify_position(POSITION, "id", {0: Watermarks(12, 30), 1: Watermarks(0, 20)})


def test_accepting_a_new_topic_starts_at_what_it_holds() -> None:
    rows = acceptance_rows(POSITION, "other", {0: Watermarks(4, 9), 1: Watermarks(0, 0)})
    assert rows == [LedgerRow(0, 4, 4, status="accepted"), LedgerRow(1, 0, 0, status="accepted")]


def test_accepting_expired_records_writes_them_down_as_lost() -> None:
    rows = acceptance_rows(POSITION, "id", {0: Watermarks(12, 30), 1: Watermarks(0, 20)})
    assert rows == [LedgerRow(0, 10, 12, lost=2, status="lost")]


def test_there_is_nothing_to_accept_in_a_topic_that_goes_on() -> None:
    assert acceptance_rows(POSITION, "id", {0: Watermarks(0, 30), 1: Watermarks(0, 20)}) == []


def test_a_broker_that_does_not_answer_is_named_by_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_position, "_TIMEOUT_S", 0.2)
    with pytest.raises(BrokerUnreachableError, match=r"within 0\.2 s .*topic events; check streaming\.kafka_bootstrap"):
        watermarks(StreamingSettings(kafka_bootstrap_servers="127.0.0.1:1"), "events")


def test_a_topic_that_lost_records_that_were_read_cannot_be_accepted() -> None:
    marks = {0: Watermarks(12, 30), 1: Watermarks(0, 19)}
    with pytest.raises(TopicReplacedError, match="partition 1 ends at offset 19, but was read up to offset 20"):
        acceptance_rows(POSITION, "id", marks)


OFFSETS = st.dictionaries(st.integers(0, 3), st.integers(0, 20), min_size=1)
MARKS = st.fixed_dictionaries(
    {p: st.tuples(st.integers(0, 20), st.integers(0, 10)).map(lambda m: Watermarks(m[0], sum(m))) for p in range(4)}
)


@given(OFFSETS, MARKS)
def test_the_same_topic_goes_on_exactly_if_no_partition_begins_after_or_ends_before_its_offset(
    offsets: dict[int, int], marks: dict[int, Watermarks]
) -> None:
    position = LedgerPosition("events", "id", offsets)
    if any(marks[p].high < offset for p, offset in offsets.items()):
        expected: type[Exception] | None = TopicReplacedError
    else:
        expected = DataExpiredError if any(marks[p].low > offset for p, offset in offsets.items()) else None
    raised = None
    try:
        verify_position(position, "id", marks)
    except (TopicReplacedError, DataExpiredError) as error:
        raised = type(error)
    assert raised is expected


@given(OFFSETS, MARKS, st.sampled_from(["", "id", "other"]))
def test_once_its_rows_are_written_an_accepted_topic_goes_on_and_nothing_lost_is_left_out(
    offsets: dict[int, int], marks: dict[int, Watermarks], read_before: str
) -> None:
    position = LedgerPosition("events", read_before, offsets if read_before else {})
    same = read_before == "id"
    assume(not same or all(marks[p].high >= offset for p, offset in offsets.items()))
    rows = acceptance_rows(position, "id", marks)
    after = (offsets if same else {}) | {row.kafka_partition: row.to_offset for row in rows}
    verify_position(LedgerPosition("events", "id", after), "id", marks)
    assert acceptance_rows(LedgerPosition("events", "id", after), "id", marks) == []
    expired = sum(max(0, marks[p].low - offset) for p, offset in offsets.items()) if same else 0
    assert sum(row.lost for row in rows) == expired
    assert all(row.to_offset - row.from_offset == row.lost for row in rows)


class FakeAdmin:
    """A broker's answers: partitions with marks, or an error for each of the first questions about offsets."""

    def __init__(self, marks: dict[int, Watermarks], *errors: int, unknown: int | None = None) -> None:
        self.marks = marks
        self.errors = list(errors)
        self.unknown = unknown

    def describe_topics(self, _: object, **__: float) -> dict[str, Future[SimpleNamespace]]:
        future: Future[SimpleNamespace] = Future()
        if self.unknown is None:
            partitions = [SimpleNamespace(id=partition) for partition in self.marks]
            future.set_result(SimpleNamespace(topic_id="current", partitions=partitions))
        else:
            future.set_exception(KafkaException(KafkaError(self.unknown)))
        return {"events": future, "user_interactions": future}

    def list_offsets(
        self, wanted: dict[TopicPartition, object], isolation_level: IsolationLevel, **_: float
    ) -> dict[TopicPartition, Future[SimpleNamespace]]:
        assert isolation_level is IsolationLevel.READ_COMMITTED, "records of an open transaction are not there yet"
        if self.errors:
            raise KafkaException(KafkaError(self.errors.pop(0)))
        answer: dict[TopicPartition, Future[SimpleNamespace]] = {}
        for place, spec in wanted.items():
            mark = self.marks[place.partition]
            answer[place] = Future()
            offset = mark.low if isinstance(spec, type(OffsetSpec.earliest())) else mark.high
            answer[place].set_result(SimpleNamespace(offset=offset))
        return answer


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(*arguments: Any, **named: Any) -> None:
        admin = FakeAdmin(*arguments, **named)
        monkeypatch.setattr(topic_position, "admin_client", lambda _: admin)
        monkeypatch.setattr(topic_position.time, "sleep", lambda _: None)

    return install


def test_a_read_goes_on_at_the_ledger_and_starts_an_unknown_partition_at_what_it_holds(
    broker: Callable[..., None], tmp_path: Path
) -> None:
    broker({0: Watermarks(0, 30), 1: Watermarks(4, 4), 2: Watermarks(7, 9)})
    position = LedgerPosition("events", "current", {0: 10, 1: 4})
    assert starting_offsets(settings_in(tmp_path), position) == (
        "current",
        {0: 10, 1: 4, 2: 7},
        {0: 30, 1: 4, 2: 9},
    )


def test_a_read_of_another_topic_is_refused_before_it_starts(broker: Callable[..., None], tmp_path: Path) -> None:
    broker({0: Watermarks(0, 30)})
    with pytest.raises(TopicReplacedError, match="its id is current, the ledger was reading old"):
        starting_offsets(settings_in(tmp_path), LedgerPosition("events", "old", {0: 10}))


def test_partitions_without_a_leader_are_asked_again(broker: Callable[..., None]) -> None:
    broker({0: Watermarks(1, 2)}, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
    assert watermarks(StreamingSettings(kafka_bootstrap_servers="broker:1"), "events") == {0: Watermarks(1, 2)}


def test_another_failure_is_raised_at_once(broker: Callable[..., None]) -> None:
    broker({0: Watermarks(1, 2)}, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        watermarks(StreamingSettings(kafka_bootstrap_servers="broker:1"), "events")


def test_a_leader_that_never_comes_is_not_waited_for_for_ever(
    broker: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_position, "_TIMEOUT_S", -1.0)
    broker({0: Watermarks(1, 2)}, *[KafkaError.LEADER_NOT_AVAILABLE] * 3)
    with pytest.raises(KafkaException, match="LEADER_NOT_AVAILABLE"):
        watermarks(StreamingSettings(kafka_bootstrap_servers="broker:1"), "events")


def test_a_missing_topic_names_the_command_that_creates_it(broker: Callable[..., None]) -> None:
    broker({}, unknown=KafkaError.UNKNOWN_TOPIC_OR_PART)
    with pytest.raises(TopicMissingError, match=r"events does not exist; `recommender init-tables`"):
        topic_id(StreamingSettings(kafka_bootstrap_servers="broker:1"), "events")


def test_a_refused_description_is_not_called_a_missing_topic(broker: Callable[..., None]) -> None:
    broker({}, unknown=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        topic_id(StreamingSettings(kafka_bootstrap_servers="broker:1"), "events")


def settings_in(root: Path) -> Settings:
    return load_settings(Path(__file__).parents[4] / "config.yaml", {"RECOMMENDER__STORAGE__ROOT": str(root)})


def test_accepting_says_what_was_written_writes_it_once_and_drops_what_was_not_committed(
    broker: Callable[..., None], tmp_path: Path
) -> None:
    broker({0: Watermarks(12, 30), 1: Watermarks(0, 25)})
    settings = settings_in(tmp_path)
    create_tables(tmp_path)
    append_rows(tmp_path, "user_interactions", "current", [LedgerRow(0, 0, 10), LedgerRow(1, 0, 20)])
    left = [{"topic_id": "current", "kafka_partition": 0, "kafka_offset": 10}]
    table = pa.Table.from_pylist(left, schema=SCHEMAS["interactions"])
    ahead = CommitProperties(app_transactions=[Transaction("ingestion", 2**62)])
    write_deltalake(table_path(tmp_path, "interactions"), table, mode="append", commit_properties=ahead)
    assert accept_topic(settings) == (
        "topic user_interactions (current) accepted: partition 0 from offset 12; 2 records are written down as lost"
    )
    assert read_table(tmp_path, "interactions").num_rows == 0
    assert ledger_position(tmp_path, "user_interactions").next_offsets == {0: 12, 1: 20}
    assert accept_topic(settings) == "topic user_interactions continues what was read; nothing to accept"
    assert table_version(tmp_path, "ingestion_ledger") == 2


def test_accepting_waits_for_no_ingestion_but_names_it(broker: Callable[..., None], tmp_path: Path) -> None:
    broker({0: Watermarks(0, 0)})
    with WriterLease(tmp_path, "ingestion"), pytest.raises(WriterBusyError, match="ingestion"):
        accept_topic(settings_in(tmp_path))
    assert table_version(tmp_path, "ingestion_ledger") == 0
