"""The engine's decoder applied to Kafka records in Arrow batches, on Spark's Python workers."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import MAX_EVENT_BYTES, Event, Rejection, decode_event, too_large

_EVENT_FIELDS = ("user_id", "item_id", "event_type", "rating", "event_id", "ranking_id")
_RECORD_SCHEMA = pa.schema(
    [
        SCHEMAS["rejected_events"].field(name)
        for name in ("key", "value", "kafka_partition", "kafka_offset", "kafka_timestamp")
    ]
)
PARSED_SCHEMA = pa.schema(
    [
        *_RECORD_SCHEMA,
        *(SCHEMAS["interactions"].field(name) for name in (*_EVENT_FIELDS, "event_key", "timestamp", "event_day")),
        *(SCHEMAS["rejected_events"].field(name) for name in ("reason", "detail")),
    ]
)
"""The record as it came, and either the fields of its event or the reason why it is none."""


def parse_records(records: pa.RecordBatch, scale: RatingScale) -> pa.RecordBatch:
    """Decode a batch of `kafka_records`: one row of `PARSED_SCHEMA` for each record, in the same order."""
    timestamps = pc.divide(records.column("kafka_timestamp").cast(pa.int64()), 1_000).to_pylist()
    decoded = [
        decode_event(value, timestamp, scale)
        for value, timestamp in zip(records.column("value").to_pylist(), timestamps, strict=True)
    ]
    for row in np.flatnonzero(records.column("large_bytes").is_valid().to_numpy(zero_copy_only=False)):
        decoded[row] = too_large(
            records.column("large_bytes")[row].as_py(), records.column("large_sha256")[row].as_py()
        )
    return pa.RecordBatch.from_pydict(
        {name: records.column(name) for name in _RECORD_SCHEMA.names} | _event_columns(decoded),
        schema=PARSED_SCHEMA,
    )


def kafka_records(records: DataFrame) -> DataFrame:
    """The rows of Spark's Kafka source as `parse_records` takes them.

    Of a value (or key) beyond the limit of an event only the first bytes leave the JVM, with the length and SHA-256 of
    the whole: a batch of giants must not fill the memory of the workers.
    """
    is_large = f"octet_length(value) > {MAX_EVENT_BYTES}"
    return records.selectExpr(
        f"IF(octet_length(key) > {MAX_EVENT_BYTES}, substring(key, 1, {MAX_EVENT_BYTES}), key) AS key",
        f"IF({is_large}, substring(value, 1, {MAX_EVENT_BYTES}), value) AS value",
        "partition AS kafka_partition",
        "offset AS kafka_offset",
        "timestamp AS kafka_timestamp",
        f"IF({is_large}, octet_length(value), NULL) AS large_bytes",
        f"IF({is_large}, sha2(value, 256), NULL) AS large_sha256",
    )


def _event_columns(decoded: list[Event | Rejection]) -> dict[str, pa.Array | list[object]]:
    events = [event if isinstance(event, Event) else None for event in decoded]
    rejections = [rejection if isinstance(rejection, Rejection) else None for rejection in decoded]
    microseconds = pa.array([event and event.timestamp_us for event in events], pa.int64())
    timestamps = microseconds.cast(SCHEMAS["interactions"].field("timestamp").type)
    columns: dict[str, pa.Array | list[object]] = {
        name: [event and getattr(event, name) for event in events] for name in (*_EVENT_FIELDS, "event_key")
    }
    columns["timestamp"] = timestamps
    columns["event_day"] = timestamps.cast(pa.date32())
    columns["reason"] = [rejection and rejection.reason for rejection in rejections]
    columns["detail"] = [rejection and rejection.detail for rejection in rejections]
    return columns
