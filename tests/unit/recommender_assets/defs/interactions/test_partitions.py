import datetime as dt
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.defs.interactions.partitions import monthly_partitions
from recommender_assets.settings import HistorySettings, load_settings

CONFIG = Path(__file__).parents[5] / "config.yaml"


def month(index: int) -> str:
    return f"{1970 + index // 12}-{index % 12 + 1:02d}"


def test_the_shipped_history_has_240_months_in_order() -> None:
    keys = monthly_partitions(load_settings(CONFIG, {}).history).get_partition_keys()
    assert len(keys) == 240
    assert (keys[0], keys[-1]) == ("1995-01", "2014-12")
    assert list(keys) == sorted(set(keys))


@given(first=st.integers(0, 600), length=st.integers(1, 60))
def test_every_month_between_both_ends_is_a_partition(first: int, length: int) -> None:
    history = HistorySettings(first_month=month(first), last_month=month(first + length - 1))
    keys = monthly_partitions(history).get_partition_keys()
    assert list(keys) == [month(index) for index in range(first, first + length)]


@given(first=st.integers(0, 600), length=st.integers(1, 24))
def test_months_follow_each_other_without_gap_or_overlap(first: int, length: int) -> None:
    history = HistorySettings(first_month=month(first), last_month=month(first + length - 1))
    partitions = monthly_partitions(history)
    windows = [partitions.time_window_for_partition_key(key) for key in partitions.get_partition_keys()]
    assert (windows[0].start, windows[-1].end) == (history.start, history.end)
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert {window.start.utcoffset() for window in windows} == {dt.timedelta(0)}


def test_one_month_is_enough() -> None:
    history = HistorySettings(first_month="2014-12", last_month="2014-12")
    assert monthly_partitions(history).get_partition_keys() == ["2014-12"]
