"""Where the broker stands, compared with the ledger, so that a topic that cannot go on is never read silently."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from recommender_assets.ingestion.commits import LedgerRow, append_rows, remove_uncommitted
from recommender_assets.ingestion.kafka_admin import admin_client
from recommender_assets.ingestion.ledger import LedgerPosition, ledger_position
from recommender_assets.ingestion.tables import create_tables
from recommender_assets.ingestion.writer_lease import WriterLease
from recommender_assets.settings import Settings
from recommender_serving.engine.config import StreamingSettings

_TIMEOUT_S = 10.0
_NO_LEADER_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_NO_ANSWER = {KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}  # noqa: SLF001
_ADVICE = "nothing was read; if this is wanted, `recommender accept-topic` goes on from what the broker has"


class BrokerUnreachableError(RuntimeError):
    """No Kafka broker answers."""


class TopicMissingError(RuntimeError):
    """The topic does not exist."""


class TopicReplacedError(RuntimeError):
    """The topic is not the one that was read before, or has lost records that were read."""


class DataExpiredError(RuntimeError):
    """Records expired before they were read."""


@dataclass(frozen=True)
class Watermarks:
    """First offset that a partition still holds, and the first one that a committed read cannot see yet."""

    low: int
    high: int


def topic_id(streaming: StreamingSettings, topic: str) -> str:
    """The broker's id of a topic; it changes when the topic is created anew.

    Raises:
        TopicMissingError: there is no such topic.
    """
    client = admin_client(streaming)
    return _describe(client, topic)[0]


def require_same_topic(streaming: StreamingSettings, topic: str, expected_id: str) -> None:
    """Refuse to go on when the topic is not the one that is being read: Spark alone would not notice.

    Raises:
        TopicMissingError: there is no such topic.
        TopicReplacedError: it was created anew.
    """
    current_id = topic_id(streaming, topic)
    if current_id != expected_id:
        raise TopicReplacedError(
            f"topic {topic} was created anew while it was read: its id is {current_id}, not {expected_id} any more"
        )


def watermarks(streaming: StreamingSettings, topic: str) -> dict[int, Watermarks]:
    """Low and high (last stable) offset of each partition.

    Raises:
        TopicMissingError: there is no such topic.
    """
    client = admin_client(streaming)
    return _watermarks(client, topic, _describe(client, topic)[1])


def unread(streaming: StreamingSettings, next_offsets: Mapping[int, int]) -> int | None:
    """Lag: offsets after `next_offsets`, of all partitions; None when the broker does not say."""
    try:
        marks = watermarks(streaming, streaming.topic)
    except (RuntimeError, KafkaException):
        return None
    return sum(max(mark.high - next_offsets.get(partition, mark.low), 0) for partition, mark in marks.items())


def topic_state(
    streaming: StreamingSettings, topic: str, timeout_s: float | None = None
) -> tuple[str, dict[int, Watermarks]]:
    """Id and watermarks of a topic, which is described once; every call to the broker has the time-out.

    Raises:
        TopicMissingError: there is no such topic.
        BrokerUnreachableError: no broker answered in time.
    """
    client = admin_client(streaming)
    current_id, partitions = _describe(client, topic, timeout_s)
    return current_id, _watermarks(client, topic, partitions, timeout_s)


def offsets_at(streaming: StreamingSettings, topic: str, partitions: list[int], timestamp_ms: int) -> dict[int, int]:
    """First offset of each partition whose record is not older than a time; partitions without one are left out."""
    spec = OffsetSpec.for_timestamp(timestamp_ms)
    offsets = _offsets(admin_client(streaming), topic, partitions, spec)
    return {partition: offset for partition, offset in offsets.items() if offset >= 0}


def starting_offsets(settings: Settings, position: LedgerPosition) -> tuple[str, dict[int, int], dict[int, int]]:
    """Topic id, and for each partition where to start and where the topic ends now.

    A partition that the ledger does not know starts at the first record it holds.

    Raises:
        TopicMissingError: the topic does not exist.
        TopicReplacedError: the topic was created anew, or is shorter than what was read.
        DataExpiredError: records after the ledger's position are gone.
    """
    client = admin_client(settings.streaming)
    current_id, partitions = _describe(client, position.topic)
    marks = _watermarks(client, position.topic, partitions)
    verify_position(position, current_id, marks)
    starts = {partition: position.next_offsets.get(partition, mark.low) for partition, mark in marks.items()}
    return current_id, starts, {partition: mark.high for partition, mark in marks.items()}


def verify_position(position: LedgerPosition, current_id: str, marks: dict[int, Watermarks]) -> None:
    """Refuse to go on from `position` when the topic cannot continue it.

    Raises:
        TopicReplacedError: another topic id, or an end before the position.
        DataExpiredError: a partition begins after the position.
    """
    if not position.topic_id:
        return
    if position.topic_id != current_id:
        raise TopicReplacedError(
            f"topic {position.topic} was created anew: its id is {current_id}, the ledger was reading "
            f"{position.topic_id}; {_ADVICE}"
        )
    _require_what_was_read(position, marks)
    for partition, offset in sorted(position.next_offsets.items()):
        low = marks[partition].low
        if low > offset:
            raise DataExpiredError(
                f"topic {position.topic}, partition {partition}: offsets {offset} to {low - 1} expired before they "
                f"were read; {_ADVICE}"
            )


def accept_topic(settings: Settings) -> str:
    """Agree to go on from what the broker has, and write into the ledger what is lost by that.

    Raises:
        TopicMissingError: the topic does not exist.
        TopicReplacedError: the topic has lost records that were read.
        WriterBusyError: an ingestion is running.

    Returns:
        A sentence that says what was written.
    """
    streaming, topic = settings.streaming, settings.streaming.topic
    create_tables(settings.root)
    with WriterLease(settings.root, "accept-topic"):
        position = ledger_position(settings.root, topic)
        client = admin_client(streaming)
        current_id, partitions = _describe(client, topic)
        rows = acceptance_rows(position, current_id, _watermarks(client, topic, partitions))
        if not rows:
            return f"topic {topic} continues what was read; nothing to accept"
        remove_uncommitted(settings.root)
        append_rows(settings.root, topic, current_id, rows)
    lost = sum(row.lost for row in rows)
    starts = ", ".join(f"partition {row.kafka_partition} from offset {row.to_offset}" for row in rows)
    return f"topic {topic} ({current_id}) accepted: {starts}; {lost} records are written down as lost"


def acceptance_rows(position: LedgerPosition, current_id: str, marks: dict[int, Watermarks]) -> list[LedgerRow]:
    """Ledger rows that make `position` continue with the topic as it is now; none when it does already.

    How many unread records a deleted topic held cannot be known, so only expired ranges count as lost.

    Raises:
        TopicReplacedError: the same topic ends before the position, which no row can mend.
    """
    if position.topic_id != current_id:
        return [LedgerRow(p, mark.low, mark.low, status="accepted") for p, mark in marks.items()]
    _require_what_was_read(position, marks)
    return [
        LedgerRow(partition, offset, marks[partition].low, lost=marks[partition].low - offset, status="lost")
        for partition, offset in position.next_offsets.items()
        if marks[partition].low > offset
    ]


def _require_what_was_read(position: LedgerPosition, marks: dict[int, Watermarks]) -> None:
    for partition, offset in sorted(position.next_offsets.items()):
        high = marks[partition].high
        if high < offset:
            raise TopicReplacedError(
                f"topic {position.topic}, partition {partition} ends at offset {high}, but was read up to offset "
                f"{offset}: the broker has lost records; restore it, or create the topic anew"
            )


def _describe(client: AdminClient, topic: str, timeout_s: float | None = None) -> tuple[str, list[int]]:
    timeout_s = _TIMEOUT_S if timeout_s is None else timeout_s
    try:
        description = client.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)[topic].result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissingError(f"topic {topic} does not exist; `recommender init-tables` creates it") from None
        if error.args[0].code() in _NO_ANSWER:
            raise BrokerUnreachableError(
                f"no Kafka broker answered within {timeout_s:g} s when asked for topic {topic}; "
                "check streaming.kafka_bootstrap_servers"
            ) from None
        raise
    return str(description.topic_id), [partition.id for partition in description.partitions]


def _watermarks(
    client: AdminClient, topic: str, partitions: list[int], timeout_s: float | None = None
) -> dict[int, Watermarks]:
    earliest, latest = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
    deadline = time.monotonic() + (_TIMEOUT_S if timeout_s is None else timeout_s)
    while True:
        try:
            lows, highs = (_offsets(client, topic, partitions, spec, timeout_s) for spec in (earliest, latest))
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return {partition: Watermarks(lows[partition], highs[partition]) for partition in partitions}


def _offsets(
    client: AdminClient, topic: str, partitions: list[int], spec: OffsetSpec, timeout_s: float | None = None
) -> dict[int, int]:
    wanted = {TopicPartition(topic, partition): spec for partition in partitions}
    timeout_s = _TIMEOUT_S if timeout_s is None else timeout_s
    futures = client.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=timeout_s)
    return {partition.partition: int(future.result().offset) for partition, future in futures.items()}
