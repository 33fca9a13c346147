from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine import interaction_log
from recommender_serving.engine.activity import HOUR_US, WINDOWS
from recommender_serving.engine.interaction_log import InteractionLog
from tests.factories import START_US

AS_OF = START_US + 40 * 24 * HOUR_US
RECORDS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.integers(0, 2),
        st.integers(0, 30),
        st.integers(START_US, AS_OF + HOUR_US),
    ),
    max_size=30,
)
STARTS = st.dictionaries(st.integers(0, 4), st.integers(0, 30))


@given(RECORDS, STARTS, st.sampled_from(WINDOWS))
def test_counts_are_those_of_the_records_one_by_one(records, start, window) -> None:  # type: ignore[no-untyped-def]
    log = InteractionLog()
    for record in records:
        log.add(*record)
    expected: Counter[str] = Counter()
    for item_id, partition, offset, timestamp_us in records:
        steps_ago = AS_OF // window.step_us - timestamp_us // window.step_us
        if 0 <= steps_ago < window.length_us // window.step_us and offset >= start.get(partition, 0):
            expected[item_id] += 1
    assert log.counts(window, AS_OF, start) == expected


@given(RECORDS, STARTS)
def test_what_is_discarded_is_what_no_longer_counts(records, start) -> None:  # type: ignore[no-untyped-def]
    log, whole = InteractionLog(), InteractionLog()
    for record in records:
        log.add(*record)
        whole.add(*record)
    log.discard_before(start)
    log.add("late", 0, 99, AS_OF)
    whole.add("late", 0, 99, AS_OF)
    for window in WINDOWS:
        assert log.counts(window, AS_OF, {}) == whole.counts(window, AS_OF, start)


def test_the_log_keeps_the_latest_and_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interaction_log, "_HALF", 10)
    log = InteractionLog()
    for offset in range(95):
        log.add(f"i{offset}", 0, offset, AS_OF)
        assert len(log) <= 20
    counted = log.counts(WINDOWS[0], AS_OF, {})
    assert counted == Counter({f"i{offset}": 1 for offset in range(80, 95)})
