"""Names and columns of all Delta tables."""

from typing import Literal

import pyarrow as pa

TableName = Literal[
    "interactions",
    "rejected_events",
    "ingestion_ledger",
    "rereadings",
    "removed_rows",
    "forgotten_users",
    "interaction_history",
    "rejected_history",
    "items",
    "user_profiles",
    "item_profiles",
    "experiment_verdicts",
    "promotion_decisions",
    "recommendation_log",
    "rejected_lists",
]
ProfileTableName = Literal["user_profiles", "item_profiles"]

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_EVENT = [
    ("user_id", pa.string()),
    ("item_id", pa.string()),
    ("event_type", pa.string()),
    ("rating", pa.float32()),
    ("timestamp", _TIMESTAMP),
    ("event_id", pa.string()),
    ("event_key", pa.int64()),
]
_RECORD = [("topic_id", pa.string()), ("kafka_partition", pa.int32()), ("kafka_offset", pa.int64())]
_COUNTS = pa.map_(_TIMESTAMP, pa.int64())
_ACTIVITY = [
    ("interactions", pa.int64()),
    ("ratings", pa.int64()),
    ("rating_sum", pa.float64()),
    ("first_interaction", _TIMESTAMP),
    ("last_interaction", _TIMESTAMP),
    ("per_minute", _COUNTS),
    ("per_hour", _COUNTS),
]
_VERDICT_FIGURES = (
    "control_rate",
    "treatment_rate",
    "lift",
    "lift_low",
    "lift_high",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "effect_size",
    "power",
    "sample_ratio_p_value",
)
_OFFSETS = pa.map_(pa.string(), pa.int64())
_POSITION = pa.struct(
    [("table_versions", _OFFSETS), ("topic", pa.string()), ("topic_id", pa.string()), ("next_offsets", _OFFSETS)]
)
_INTERVAL = [("value", pa.float64()), ("low", pa.float64()), ("high", pa.float64())]
_CONTENDER = pa.struct(
    [
        ("version", pa.string()),
        ("algorithm", pa.string()),
        ("role", pa.string()),
        ("objections", pa.list_(pa.string())),
        ("gain", pa.struct(_INTERVAL)),
        ("metrics", pa.map_(pa.string(), pa.struct([*_INTERVAL, ("floor", pa.float64())]))),
    ]
)

SCHEMAS: dict[TableName, pa.Schema] = {
    "interactions": pa.schema(
        [*_EVENT, ("ranking_id", pa.string()), ("event_day", pa.date32()), *_RECORD, ("ingested_at", _TIMESTAMP)]
    ),
    "rejected_events": pa.schema(
        [
            ("key", pa.binary()),
            ("value", pa.binary()),
            ("reason", pa.string()),
            ("detail", pa.string()),
            *_RECORD,
            ("kafka_timestamp", _TIMESTAMP),
            ("ingested_at", _TIMESTAMP),
        ]
    ),
    "ingestion_ledger": pa.schema(
        [
            ("generation", pa.string()),
            ("batch_id", pa.int64()),
            ("topic", pa.string()),
            ("topic_id", pa.string()),
            ("kafka_partition", pa.int32()),
            ("from_offset", pa.int64()),
            ("to_offset", pa.int64()),
            ("read", pa.int64()),
            ("accepted", pa.int64()),
            ("duplicate", pa.int64()),
            ("rejected", pa.int64()),
            ("lost", pa.int64()),
            ("status", pa.string()),
            ("committed_at", _TIMESTAMP),
        ]
    ),
    "rereadings": pa.schema(
        [
            ("topic", pa.string()),
            ("topic_id", pa.string()),
            ("kafka_partition", pa.int32()),
            ("from_offset", pa.int64()),
            ("to_offset", pa.int64()),
            ("accepted", pa.int64()),
            ("duplicate", pa.int64()),
            ("rejected", pa.int64()),
            ("reread_at", _TIMESTAMP),
        ]
    ),
    "removed_rows": pa.schema(
        [
            ("removal", pa.int64()),
            ("cause", pa.string()),
            ("kind", pa.string()),
            ("topic_id", pa.string()),
            ("kafka_partition", pa.int32()),
            ("from_offset", pa.int64()),
            ("to_offset", pa.int64()),
        ]
    ),
    "forgotten_users": pa.schema([("user_id", pa.string()), *_RECORD, ("forgotten_at", _TIMESTAMP)]),
    "interaction_history": pa.schema(_EVENT),
    "rejected_history": pa.schema(
        [
            ("source_row", pa.string()),
            ("reason", pa.string()),
            ("detail", pa.string()),
            ("timestamp", _TIMESTAMP),
            ("imported_at", _TIMESTAMP),
        ]
    ),
    "items": pa.schema(
        [
            ("item_id", pa.string()),
            ("title", pa.string()),
            ("categories", pa.list_(pa.string())),
            ("year", pa.int32()),
        ]
    ),
    "user_profiles": pa.schema(
        [("user_id", pa.string()), *_ACTIVITY, ("category_affinity", pa.map_(pa.string(), pa.float64()))]
    ),
    "item_profiles": pa.schema([("item_id", pa.string()), ("users", pa.int64()), *_ACTIVITY]),
    "experiment_verdicts": pa.schema(
        [
            ("experiment", pa.string()),
            ("treatment", pa.string()),
            ("day", pa.date32()),
            ("metric", pa.string()),
            ("decision", pa.string()),
            ("reason", pa.string()),
            ("traffic", pa.string()),
            *((name, pa.float64()) for name in _VERDICT_FIGURES),
            ("planned_users", pa.int64()),
            ("users", pa.map_(pa.string(), pa.int64())),
            ("definition", pa.string()),
            ("started_at", _TIMESTAMP),
            ("written_at", _TIMESTAMP),
        ]
    ),
    "promotion_decisions": pa.schema(
        [
            ("decision_id", pa.string()),
            ("decided_at", _TIMESTAMP),
            ("kind", pa.string()),
            ("champion", pa.string()),
            ("predecessor", pa.string()),
            ("reason", pa.string()),
            ("deployed", pa.map_(pa.string(), pa.string())),
            ("metric", pa.string()),
            ("confidence", pa.float64()),
            ("hold_out_share", pa.float64()),
            ("hold_out", pa.int64()),
            ("interactions", pa.int64()),
            ("position", _POSITION),
            ("contenders", pa.list_(_CONTENDER)),
        ]
    ),
    "recommendation_log": pa.schema(
        [
            ("ranking_id", pa.string()),
            ("user_id", pa.string()),
            ("served_at", _TIMESTAMP),
            ("items", pa.list_(pa.string())),
            ("algorithm", pa.string()),
            ("version", pa.string()),
            ("source", pa.string()),
            ("logged_share", pa.float64()),
            ("experiment", pa.string()),
            ("variant", pa.string()),
            ("forced", pa.bool_()),
            ("teams", pa.list_(pa.string())),
            ("treatment_algorithm", pa.string()),
            ("treatment_version", pa.string()),
            *_RECORD,
            ("ingested_at", _TIMESTAMP),
        ]
    ),
    "rejected_lists": pa.schema(
        [
            ("key", pa.binary()),
            ("value", pa.binary()),
            ("detail", pa.string()),
            *_RECORD,
            ("kafka_timestamp", _TIMESTAMP),
            ("ingested_at", _TIMESTAMP),
        ]
    ),
}
"""Columns of every table. Times are UTC with microseconds; `to_offset` is the first offset after a range."""
