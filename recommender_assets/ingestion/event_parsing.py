"""The engine's decoder applied to Kafka records in Arrow batches, on Spark's Python workers."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from recommender_assets.ingestion.tables import SCHEMAS
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import Event, Rejection, decode_event

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
    """Decode a batch of Kafka records: one row of `PARSED_SCHEMA` for each record, in the same order."""
    timestamps = pc.divide(records.column("kafka_timestamp").cast(pa.int64()), 1_000).to_pylist()
    decoded = [
        decode_event(value, timestamp, scale)
        for value, timestamp in zip(records.column("value").to_pylist(), timestamps, strict=True)
    ]
    return pa.RecordBatch.from_pydict(
        {name: records.column(name) for name in _RECORD_SCHEMA.names} | _event_columns(decoded),
        schema=PARSED_SCHEMA,
    )


def parsed_events(records: DataFrame, scale: RatingScale) -> DataFrame:
    """The rows of Spark's Kafka source, decoded (columns of `PARSED_SCHEMA`)."""

    def parse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield parse_records(batch, scale)

    renamed = records.selectExpr(
        "key", "value", "partition AS kafka_partition", "offset AS kafka_offset", "timestamp AS kafka_timestamp"
    )
    return renamed.mapInArrow(parse, from_arrow_schema(PARSED_SCHEMA))


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
