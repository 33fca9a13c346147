"""From the topic of served lists to the table `recommendation_log`, each record exactly once; needs no Spark.

A commit of rows carries, as Delta application transactions, the offset up to which every partition is read: rows and
position are stored together or not at all. Delta refuses the second of two commits that started from one position, so
two runs at once double nothing. Records that are no served lists go to `rejected_lists` first, which has positions of
its own and takes none twice.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import append_to_table, create_tables, table_path
from recommender_assets.ingestion.topic_position import TopicReplacedError, Watermarks, require_same_topic, topic_state
from recommender_assets.settings import Settings
from recommender_serving.engine.recommendation_log import InvalidServedListError, ServedList, decode_served_list

RANGES = "served_lists_ranges"
_LARGEST_COMMIT = 100_000  # records
_AT_ONCE = 5_000
_SILENCE_SECONDS = 30.0


class LogBusyError(RuntimeError):
    """Another run brings the same records into the tables."""


class LogUnreadableError(RuntimeError):
    """The broker stopped delivering records that it says it has."""


@dataclass(frozen=True)
class LogReport:
    """What a run read.

    Attributes:
        topic_id: the broker's id of the topic.
        next_offsets: partition -> first offset that is not read yet.
        accepted: served lists.
        rejected: records that are none.
        lost: records that expired before they were read.
    """

    topic_id: str
    next_offsets: dict[int, int] = field(default_factory=dict)
    accepted: int = 0
    rejected: int = 0
    lost: int = 0


class Record(NamedTuple):
    """One record of the topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Ranges(NamedTuple):
    """What one commit covers: partition -> first offset, and first offset after it; `lost` are not in the topic."""

    start: dict[int, int]
    end: dict[int, int]
    lost: dict[int, int]


def ingest_served_lists(settings: Settings) -> LogReport:
    """Read the topic from where the table ends to where the topic ended when the run began.

    Raises:
        TopicMissingError: the topic does not exist.
        BrokerUnreachableError: no broker answers.
        TopicReplacedError: the broker has lost records that were read, or the topic was created anew meanwhile.
        LogBusyError: another run does the same.
        LogUnreadableError: records that the broker has do not come.
    """
    root, topic = settings.root, settings.recommendation_log.topic
    create_tables(root)
    topic_id, marks = topic_state(settings.streaming, topic)
    known = log_position(root, topic_id, marks)
    lost = _lost(topic, known, marks)
    report = LogReport(topic_id, {p: known.get(p, mark.low) for p, mark in marks.items()})
    starts = {p: offset + lost.get(p, 0) for p, offset in report.next_offsets.items()}
    ends = {p: mark.high for p, mark in marks.items()}
    if report.next_offsets == ends:
        return report
    for records, reached in _portions(settings, starts, ends):
        require_same_topic(settings.streaming, topic, topic_id)
        ranges = Ranges(report.next_offsets, reached, lost)
        accepted, rejected = _commit(root, topic_id, records, ranges)
        report = LogReport(
            topic_id,
            reached,
            report.accepted + accepted,
            report.rejected + rejected,
            report.lost + sum(lost.values()),
        )
        lost = {}
    return report


def log_position(root: Path, topic_id: str, partitions: Mapping[int, Any]) -> dict[int, int]:
    """Partition -> first offset of the topic that is not in the table yet; without the partitions never read."""
    return _position(DeltaTable(table_path(root, "recommendation_log")), topic_id, partitions)


def unread(root: Path, topic_id: str, marks: Mapping[int, Watermarks]) -> int:
    """Number of offsets that are not read yet."""
    known = log_position(root, topic_id, marks)
    return sum(max(mark.high - max(known.get(p, 0), mark.low), 0) for p, mark in marks.items())


def _position(table: DeltaTable, topic_id: str, partitions: Mapping[int, Any]) -> dict[int, int]:
    found = {partition: table.transaction_version(_application(topic_id, partition)) for partition in partitions}
    return {partition: int(offset) for partition, offset in found.items() if offset is not None}


def _application(topic_id: str, partition: int) -> str:
    return f"served_lists/{topic_id}/{partition}"


def _lost(topic: str, known: Mapping[int, int], marks: Mapping[int, Watermarks]) -> dict[int, int]:
    """Partition -> number of offsets that expired before they were read."""
    for partition, offset in known.items():
        if marks[partition].high < offset:
            raise TopicReplacedError(
                f"topic {topic}, partition {partition} ends at offset {marks[partition].high}, but was read up to "
                f"offset {offset}: the broker has lost records; restore it, or create the topic anew"
            )
    return {p: marks[p].low - offset for p, offset in known.items() if marks[p].low > offset}


def _portions(
    settings: Settings, starts: Mapping[int, int], ends: Mapping[int, int]
) -> Iterator[tuple[list[Record], dict[int, int]]]:
    """Records for one commit each, with the position after them; the last portion may be empty."""
    position = dict(starts)
    topic = settings.recommendation_log.topic
    with closing(_consumer(settings)) as consumer:
        consumer.assign([TopicPartition(topic, p, offset) for p, offset in position.items() if offset < ends[p]])
        records: list[Record] = []
        while any(position[p] < end for p, end in ends.items()):
            first = consumer.poll(_SILENCE_SECONDS)
            if first is None:
                raise LogUnreadableError(
                    f"topic {topic}: nothing came for {_SILENCE_SECONDS:g} s, though partitions {dict(ends)} are read "
                    f"up to {position} only"
                )
            # `consume` with a time-out would wait for the whole number
            records += _taken([first, *consumer.consume(_AT_ONCE - 1, 0)], position, ends)
            if len(records) >= _LARGEST_COMMIT:
                yield records, dict(position)
                records = []
        yield records, dict(position)


def _taken(messages: list[Message], position: dict[int, int], ends: Mapping[int, int]) -> list[Record]:
    """The records of the messages before the ends; moves the position on."""
    taken = []
    for message in messages:
        partition, offset, error = message.partition(), message.offset(), message.error()
        if partition is None or offset is None or (error is not None and error.code() != KafkaError._PARTITION_EOF):  # noqa: SLF001
            raise KafkaException(error)
        if error is not None:  # transaction markers are offsets without a record: the end of the partition is told
            position[partition] = max(position[partition], min(offset, ends[partition]))
        elif offset < ends[partition]:
            taken.append(Record(partition, offset, message.timestamp()[1], message.key(), message.value()))
            position[partition] = offset + 1
        else:
            position[partition] = ends[partition]
    return taken


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            **settings.streaming.client_properties,
            "group.id": "recommendation-log",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
            "log_level": 2,
        }
    )


def _commit(root: Path, topic_id: str, records: list[Record], ranges: Ranges) -> tuple[int, int]:
    """Store the records and the position after them; returns how many were accepted and rejected."""
    place = {"topic_id": topic_id, "ingested_at": dt.datetime.now(dt.UTC)}
    accepted, rejected = [], []
    for record in records:
        try:
            served = decode_served_list(record.value)
        except InvalidServedListError as error:
            rejected.append(_rejected_row(record, str(error)) | place)
        else:
            accepted.append(_accepted_row(record, served) | place)
    table = DeltaTable(table_path(root, "rejected_lists"))
    known = _position(table, topic_id, ranges.end)
    new = [row for row in rejected if row["kafka_offset"] >= known.get(row["kafka_partition"], 0)]
    if new:
        _write(table, "rejected_lists", new, topic_id, ranges)
    table = DeltaTable(table_path(root, "recommendation_log"))
    known = _position(table, topic_id, ranges.end)
    if any(known.get(partition, start) != start for partition, start in ranges.start.items()):
        raise LogBusyError(f"another run has read topic {topic_id} meanwhile; nothing was written twice")
    _write(table, "recommendation_log", accepted, topic_id, ranges)
    return len(accepted), len(rejected)


def _write(table: DeltaTable, name: TableName, rows: list[dict[str, Any]], topic_id: str, ranges: Ranges) -> None:
    changed = [partition for partition, end in ranges.end.items() if end != ranges.start[partition]]
    covered = {
        str(partition): [ranges.start[partition], ranges.end[partition], ranges.lost.get(partition, 0)]
        for partition in changed
    }
    properties = CommitProperties(
        app_transactions=[Transaction(_application(topic_id, p), ranges.end[p]) for p in changed],
        custom_metadata={RANGES: json.dumps({"topic_id": topic_id, "rows": len(rows), "partitions": covered})},
    )
    try:
        data = pa.Table.from_pylist(rows, schema=SCHEMAS[name])
        append_to_table(table, data, properties)
    except CommitFailedError as error:
        raise LogBusyError(f"another run writes the recommendation log; nothing was written twice: {error}") from error


def _accepted_row(record: Record, served: ServedList) -> dict[str, Any]:
    return {
        "ranking_id": served.ranking_id,
        "user_id": served.user_id,
        "served_at": served.served_at_us,
        "items": served.items,
        "algorithm": served.algorithm,
        "version": served.version,
        "source": served.source,
        "logged_share": served.logged_share,
        "experiment": served.experiment,
        "variant": served.variant,
        "forced": served.forced,
        "teams": served.teams,
        "treatment_algorithm": served.treatment_algorithm,
        "treatment_version": served.treatment_version,
        "kafka_partition": record.partition,
        "kafka_offset": record.offset,
    }


def _rejected_row(record: Record, detail: str) -> dict[str, Any]:
    return {
        "key": record.key,
        "value": record.value,
        "detail": detail,
        "kafka_partition": record.partition,
        "kafka_offset": record.offset,
        "kafka_timestamp": record.timestamp_ms * 1_000,
    }
