from collections import Counter

import numpy as np
import pytest

from recommender_serving.engine import recent_interactions as module
from recommender_serving.engine.activity import DAY_US, HOUR_US, WINDOWS
from recommender_serving.engine.history import rows_that_stand
from recommender_serving.engine.recent_interactions import recent_interactions
from tests.factories import START_US, history_of, make_event, make_history

NOW = START_US + 11 * DAY_US


@pytest.mark.parametrize("block_rows", [1, 7, 1_000_000])
def test_a_window_counts_what_stands_in_it(monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    monkeypatch.setattr(module, "_BLOCK_ROWS", block_rows)
    history = make_history(n_users=30, n_items=8, events_per_user=12)
    recent = recent_interactions(history, NOW)
    stands = rows_that_stand(history)
    assert 0 < stands.sum() < len(stands)
    for window in WINDOWS:
        expected = Counter(history.item[stands & window.covers(history.timestamp_us, NOW)].tolist())
        assert recent.counts(window, NOW, 8).tolist() == [expected[item] for item in range(8)]


def test_what_no_window_can_cover_any_more_is_not_kept() -> None:
    events = [
        make_event("u", "a", timestamp_us=NOW - 31 * DAY_US),
        make_event("u", "b", timestamp_us=NOW - 29 * DAY_US),
    ]
    recent = recent_interactions(history_of(events, ["u"], ["a", "b"]), NOW)
    assert recent.item.tolist() == [1]
    assert recent.counts(WINDOWS[-1], NOW + 2 * DAY_US, 2).tolist() == [0, 0], "time goes on without a new model"
    assert recent.counts(WINDOWS[0], NOW - 29 * DAY_US + HOUR_US // 2, 2).tolist() == [0, 1]


def test_a_removed_interaction_is_not_kept() -> None:
    events = [make_event("u", "a", timestamp_us=NOW - 2), make_event("u", "a", "remove", timestamp_us=NOW - 1)]
    assert not len(recent_interactions(history_of(events, ["u"], ["a"]), NOW).item)


def test_a_model_without_users_has_none() -> None:
    recent = recent_interactions(history_of([], [], []), NOW)
    assert recent.counts(WINDOWS[0], NOW, 3).tolist() == [0, 0, 0]
    assert recent.item.dtype == np.int32
