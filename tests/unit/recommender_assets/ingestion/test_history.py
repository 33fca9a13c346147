import datetime as dt

import pyarrow as pa

from recommender_assets.ingestion.history import history_rows
from recommender_assets.ingestion.tables import SCHEMAS
from recommender_serving.engine.events import derived_event_id, event_key


def month(year: int, number: int) -> dt.datetime:
    return dt.datetime(year, number, 1, tzinfo=dt.UTC)


def test_rows_are_rating_events_with_derived_ids() -> None:
    rows = history_rows(month(1995, 1), month(1995, 2))
    assert rows.schema.equals(SCHEMAS["interaction_history"])
    first = rows.slice(0, 1).to_pylist()[0]
    event_id = derived_event_id("383", "21", "rating", 789_652_009_000_000)
    assert first == {
        "user_id": "383",
        "item_id": "21",
        "event_type": "rating",
        "rating": 3.0,
        "timestamp": dt.datetime(1995, 1, 9, 11, 46, 49, tzinfo=dt.UTC),
        "event_id": event_id,
        "event_key": event_key(event_id),
    }


def test_ranges_that_join_neither_overlap_nor_leave_a_rating_out() -> None:
    whole = history_rows(month(1999, 1), month(2000, 1))
    parts = pa.concat_tables(
        [history_rows(month(1999, 1), month(1999, 7)), history_rows(month(1999, 7), month(2000, 1))]
    )
    assert whole.num_rows > 1_000
    assert parts.equals(whole)


def test_a_range_without_ratings_is_empty() -> None:
    assert history_rows(month(1980, 1), month(1990, 1)).num_rows == 0
