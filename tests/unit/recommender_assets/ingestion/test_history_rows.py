import datetime as dt
import json
from collections.abc import Mapping

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion.history_rows import DECODED_SCHEMA, FIELDS, MALFORMED, SOURCE_ROW, decode_rows
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import REASONS, derived_event_id, event_key

SCALE = RatingScale()
VALID = {"user_id": "7", "item_id": "21", "rating": "3.0", "timestamp": "789652009"}
TIME = dt.datetime(1995, 1, 9, 11, 46, 49, tzinfo=dt.UTC)


def decode(*rows: Mapping[str, str | None]) -> pa.RecordBatch:
    names = (*FIELDS, MALFORMED, SOURCE_ROW)
    complete = [{SOURCE_ROW: json.dumps(row, ensure_ascii=False)} | row for row in rows]
    schema = pa.schema([(name, pa.string()) for name in names])
    return decode_rows(pa.RecordBatch.from_pylist([{n: row.get(n) for n in names} for row in complete], schema), SCALE)


@pytest.mark.parametrize(
    "timestamp",
    ["789652009", "789652009000", "789652009.0", "1995-01-09T11:46:49Z", "1995-01-09T12:46:49+01:00"],
)
def test_a_row_is_the_event_that_the_topic_would_have_held(timestamp: str) -> None:
    (row,) = decode(VALID | {"timestamp": timestamp}).to_pylist()
    event_id = derived_event_id("7", "21", "rating", 789_652_009_000_000)
    assert row == {
        "user_id": "7",
        "item_id": "21",
        "event_type": "rating",
        "rating": 3.0,
        "timestamp": TIME,
        "event_id": event_id,
        "event_key": event_key(event_id),
        SOURCE_ROW: json.dumps(VALID | {"timestamp": timestamp}),
        "reason": None,
        "detail": None,
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"user_id": None}, "missing_field"),
        ({"item_id": None}, "missing_field"),
        ({"user_id": "a\tb"}, "invalid_id"),
        ({"user_id": "x" * 257}, "invalid_id"),
        ({"rating": None}, "rating_missing"),
        ({"rating": "7"}, "rating_out_of_scale"),
        ({"rating": "nan"}, "wrong_type"),
        ({"rating": "good"}, "wrong_type"),
        ({"timestamp": None}, "missing_field"),
        ({"timestamp": "yesterday"}, "invalid_timestamp"),
        ({"timestamp": "1995-01-09 11:46:49"}, "timestamp_without_offset"),
        ({"timestamp": "1e300"}, "invalid_timestamp"),
        ({"event_type": "purchase?"}, "unknown_event_type"),
        ({"event_type": "forget"}, "unknown_event_type"),
        ({"event_id": "x" * 65}, "invalid_event_id"),
        ({"user_id": "caf\ufffd"}, "malformed_row"),
        ({MALFORMED: "7,21"}, "malformed_row"),
    ],
    ids=str,
)
def test_a_bad_row_is_kept_with_its_reason(changed: dict[str, str | None], reason: str) -> None:
    row, good = decode(VALID | changed, VALID).to_pylist()
    assert row["reason"] == reason, row["detail"]
    assert row["detail"]
    assert row[SOURCE_ROW]
    assert row["timestamp"] is None
    assert good["reason"] is None


def test_other_kinds_of_events_need_no_rating() -> None:
    (row,) = decode(VALID | {"event_type": "purchase", "rating": None, "event_id": "order-1"}).to_pylist()
    assert (row["event_type"], row["rating"], row["event_id"], row["reason"]) == ("purchase", None, "order-1", None)


def test_ids_keep_their_text() -> None:
    (row,) = decode(VALID | {"user_id": "007", "item_id": "1e3"}).to_pylist()
    assert (row["user_id"], row["item_id"]) == ("007", "1e3")


texts = st.none() | st.text(max_size=12) | st.sampled_from(["1", "4.5", "-1", "inf", "789652009", "view", "1e400"])


@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, texts)), max_size=5))
def test_every_row_is_an_event_or_has_a_reason(rows: list[dict[str, str | None]]) -> None:
    decoded = decode(*rows)
    assert decoded.schema.equals(DECODED_SCHEMA)
    assert decoded.num_rows == len(rows)
    for row in decoded.to_pylist():
        assert (row["reason"] is None) == (row["timestamp"] is not None) == (row["event_id"] is not None)
        assert row["reason"] in {None, "malformed_row", *REASONS}
