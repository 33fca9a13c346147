"""The rows of a history judged by the engine's decoder, the same that judges the events of the topic."""

import math
from collections.abc import Iterator

import msgspec
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from recommender_assets.ingestion.schemas import SCHEMAS
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import Event, Rejection, decode_event

FIELDS = ("user_id", "item_id", "event_type", "rating", "timestamp", "event_id")
MALFORMED = "_malformed"
SOURCE_ROW = "source_row"
DECODED_SCHEMA = pa.schema(
    [
        *SCHEMAS["interaction_history"],
        *(SCHEMAS["rejected_history"].field(name) for name in (SOURCE_ROW, "reason", "detail")),
    ]
)
"""Either the columns of an event, or the row as it came and the reason why it is none."""

_END_OF_TIME_MS = 253_402_300_799_999  # the past has no record time that an event could be ahead of
_NUMBERS = ("rating", "timestamp")


def decoded_rows(rows: DataFrame, scale: RatingScale) -> DataFrame:
    """Rows of `history_source.source_rows`, decoded on Spark's Python workers (columns of `DECODED_SCHEMA`)."""

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield decode_rows(batch, scale)

    return rows.mapInArrow(decode, from_arrow_schema(DECODED_SCHEMA))


def decode_rows(rows: pa.RecordBatch, scale: RatingScale) -> pa.RecordBatch:
    """One row of `DECODED_SCHEMA` for each row of text columns `FIELDS`, `MALFORMED`, `SOURCE_ROW`, in their order."""
    decoded = [_decode(row, scale) for row in rows.to_pylist()]
    events = [event if isinstance(event, Event) else None for event in decoded]
    rejections = [rejection if isinstance(rejection, Rejection) else None for rejection in decoded]
    microseconds = pa.array([event and event.timestamp_us for event in events], pa.int64())
    columns: dict[str, object] = {
        name: [event and getattr(event, name) for event in events]
        for name in ("user_id", "item_id", "event_type", "rating", "event_id", "event_key")
    }
    columns["timestamp"] = microseconds.cast(DECODED_SCHEMA.field("timestamp").type)
    columns[SOURCE_ROW] = rows.column(SOURCE_ROW)
    columns["reason"] = [rejection and rejection.reason for rejection in rejections]
    columns["detail"] = [rejection and rejection.detail for rejection in rejections]
    return pa.RecordBatch.from_pydict(columns, schema=DECODED_SCHEMA)


def _decode(row: dict[str, str | None], scale: RatingScale) -> Event | Rejection:
    if row[MALFORMED] is not None:
        return Rejection("malformed_row", "row: expected as many values as the header has names")
    if "\ufffd" in (row[SOURCE_ROW] or ""):
        return Rejection("malformed_row", "row: expected text in UTF-8")
    fields = {name: text for name in FIELDS if (text := row[name]) is not None}
    record = fields | {name: _number(fields[name]) for name in _NUMBERS if name in fields}
    event = decode_event(msgspec.json.encode(record), _END_OF_TIME_MS, scale)
    if isinstance(event, Event) and event.event_type == "forget":
        return Rejection(
            "unknown_event_type", "event_type: a history holds no 'forget', it has no position to forget at"
        )
    return event


def _number(text: str) -> float | int | str:
    """The number that a text says; any other text as it is, for the decoder to judge."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
