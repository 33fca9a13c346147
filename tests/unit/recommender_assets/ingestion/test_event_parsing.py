import datetime as dt
from hashlib import sha256

import pyarrow as pa

from recommender_assets.ingestion.event_parsing import PARSED_SCHEMA, parse_records
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import MAX_EVENT_BYTES, Rejection, decode_event, derived_event_id, event_key

RECEIVED = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
RECORD_SCHEMA = pa.schema(
    [*(PARSED_SCHEMA.field(i) for i in range(5)), ("large_bytes", pa.int32()), ("large_sha256", pa.string())]
)


def parse(*values: bytes | None, received: dt.datetime = RECEIVED) -> list[dict[str, object]]:
    rows = [
        {"key": b"k", "value": value, "kafka_partition": 1, "kafka_offset": 5 + i, "kafka_timestamp": received}
        for i, value in enumerate(values)
    ]
    parsed = parse_records(pa.RecordBatch.from_pylist(rows, schema=RECORD_SCHEMA), RatingScale())
    assert parsed.schema.equals(PARSED_SCHEMA)
    result: list[dict[str, object]] = parsed.to_pylist()
    return result


def test_a_valid_record_becomes_an_event_with_its_position() -> None:
    (row,) = parse(b'{"user_id": 123, "item_id": 456, "rating": 4.5, "timestamp": "2023-12-31T23:59:59.5-01:00"}')
    time_us = 1_704_070_799_500_000
    event_id = derived_event_id("123", "456", "rating", time_us)
    assert row["key"] == b"k"
    assert (row["user_id"], row["item_id"], row["event_type"], row["rating"]) == ("123", "456", "rating", 4.5)
    assert row["timestamp"] == dt.datetime(2024, 1, 1, 0, 59, 59, 500_000, tzinfo=dt.UTC)
    assert row["event_day"] == dt.date(2024, 1, 1)
    assert (row["event_id"], row["event_key"], row["ranking_id"]) == (event_id, event_key(event_id), None)
    assert (row["reason"], row["detail"]) == (None, None)
    assert (row["kafka_partition"], row["kafka_offset"]) == (1, 5)


def test_a_bad_record_keeps_its_bytes_and_gets_a_reason() -> None:
    good = b'{"user_id": "u", "item_id": "i", "rating": 1, "timestamp": 0}'
    rows = parse(good, b"\xff\x00", None, good)
    assert [row["reason"] is None for row in rows] == [True, False, False, True]
    assert [row["value"] for row in rows] == [good, b"\xff\x00", None, good]
    assert rows[1]["user_id"] is None
    assert rows[1]["event_day"] is None
    assert rows[1]["detail"]


def test_the_record_is_judged_by_its_own_time() -> None:
    value = b'{"user_id": "u", "item_id": "i", "rating": 1, "timestamp": "2024-01-02T11:59:59Z"}'
    assert parse(value)[0]["reason"] is None
    assert parse(value, received=RECEIVED - dt.timedelta(seconds=1))[0]["reason"] is None
    assert parse(value, received=RECEIVED - dt.timedelta(seconds=2))[0]["reason"] == "timestamp_too_far_ahead"


def test_a_day_before_1970_is_the_day_and_not_the_one_after() -> None:
    (row,) = parse(b'{"user_id": "u", "item_id": "i", "rating": 1, "timestamp": "1969-12-31T23:00:00Z"}')
    assert row["event_day"] == dt.date(1969, 12, 31)


def test_no_records_give_no_rows() -> None:
    assert parse() == []


def test_a_giant_of_which_only_the_beginning_came_is_judged_as_the_decoder_judges_the_whole() -> None:
    whole = b'{"user_id": "u", "item_id": "i", "rating": 1, "timestamp": 0, "pad": "' + b"x" * 70_000 + b'"}'
    row = {"kafka_timestamp": RECEIVED, "value": whole[:MAX_EVENT_BYTES], "kafka_partition": 0, "kafka_offset": 0}
    row |= {"large_bytes": len(whole), "large_sha256": sha256(whole).hexdigest()}
    parsed = parse_records(pa.RecordBatch.from_pylist([row], schema=RECORD_SCHEMA), RatingScale()).to_pylist()[0]
    judged = decode_event(whole, 1_704_110_400_000, RatingScale())
    assert isinstance(judged, Rejection)
    assert (parsed["reason"], parsed["detail"]) == (judged.reason, judged.detail)
    assert parsed["reason"] == "event_too_large"
    assert str(len(whole)) in judged.detail
    assert parsed["value"] == whole[:65_536]
