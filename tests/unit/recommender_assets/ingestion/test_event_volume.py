from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.ingestion.event_volume import DAY_SECONDS, LEAST_DAYS, MOST_DAYS, Volume, event_volume

NOW = 1_800_000_000.0


def ledger(rows: Sequence[tuple[float, int]]) -> pa.Table:
    """Rows of (days ago, accepted)."""
    times = pa.array([int((NOW - days * DAY_SECONDS) * 1e6) for days, _ in rows], pa.int64())
    return pa.table({"committed_at": times.cast(pa.timestamp("us", tz="UTC")), "accepted": [n for _, n in rows]})


def test_an_empty_ledger_has_no_volume() -> None:
    assert event_volume(ledger([]), NOW) == Volume(0, None)


def test_batches_of_a_day_are_added_up_and_days_without_any_count() -> None:
    rows = [(4.5, 7), (3.5, 30), (3.2, 10), (1.5, 20), (0.9, 1), (0.1, 2)]
    assert event_volume(ledger(rows), NOW) == Volume(3, 20.0), "0, 20 and 40; the first day is not whole"


@given(st.integers(0, 40))
def test_as_many_days_are_usual_as_there_are(days: int) -> None:
    rows = [(day + 0.5, 10) for day in range(days + 1)]
    usual = event_volume(ledger(rows), NOW).usual
    assert usual == (10.0 if days - 1 >= LEAST_DAYS else None)


def test_what_was_long_ago_is_not_usual_any_more() -> None:
    rows = [(day + 0.5, 1_000 if day > MOST_DAYS else 10) for day in range(60)]
    assert event_volume(ledger(rows), NOW) == Volume(10, 10.0)


@pytest.mark.parametrize("days", [0.0, 0.999])
def test_the_latest_day_ends_now(days: float) -> None:
    assert event_volume(ledger([(days, 5)]), NOW).latest == 5
