from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.activity import (
    DAY_US,
    HOUR_US,
    MINUTE_US,
    WINDOWS,
    UserProfile,
    popularity_trend,
    totals,
    user_profile,
)
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.events import Event
from tests.factories import START_US, history_of, make_event

ITEMS = ["i0", "i1", "i2", "i3"]
CATEGORIES = {0: ["drama", "crime"], 1: ["drama"], 2: [], 3: ["comedy", "crime", "drama"]}
WEIGHTS, SCALE = EventWeights(), RatingScale()
AS_OF = START_US + 40 * DAY_US + 17 * MINUTE_US + 3
LENGTHS = {"1_hour": HOUR_US, "24_hours": DAY_US, "7_days": 7 * DAY_US, "30_days": 30 * DAY_US}

events = st.builds(
    make_event,
    user_id=st.just("u"),
    item_id=st.sampled_from(ITEMS),
    event_type=st.sampled_from(["rating", "view", "click", "purchase", "remove"]),
    rating=st.integers(1, 10).map(lambda half_stars: half_stars / 2),
    timestamp_us=st.one_of(
        st.integers(START_US, AS_OF + DAY_US),
        st.integers(AS_OF - HOUR_US - MINUTE_US, AS_OF + MINUTE_US),
        st.sampled_from([AS_OF - length for length in LENGTHS.values()]),
    ),
)


def profile_of(rows: list[Event], as_of_us: int = AS_OF) -> UserProfile:
    return user_profile(history_of(rows, ["u"], ITEMS), CATEGORIES.__getitem__, WEIGHTS, SCALE, as_of_us)


def standing(rows: list[Event]) -> list[Event]:
    """Latest event of each (item, type) that no removal at or after it took back, straight from the definition."""
    latest: dict[tuple[str | None, str], Event] = {}
    for event in sorted(rows, key=lambda event: (event.timestamp_us, event.event_key, event.rating or 0)):
        latest[event.item_id, event.event_type] = event

    def is_removed(event: Event) -> bool:
        removal = latest.get((event.item_id, "remove"))
        order = (event.timestamp_us, event.event_key)
        return removal is not None and order <= (removal.timestamp_us, removal.event_key)

    return [event for event in latest.values() if event.event_type != "remove" and not is_removed(event)]


def strength(event: Event) -> float:
    if event.rating is None:
        return float(getattr(WEIGHTS, event.event_type))
    return 0.2 + 0.8 * (event.rating - SCALE.min) / (SCALE.max - SCALE.min)


@given(st.lists(events, max_size=20), st.randoms())
def test_a_profile_is_what_the_definition_says(rows: list[Event], random: np.random.Generator) -> None:
    stands = standing(rows)
    ratings = [event.rating for event in stands if event.rating is not None]
    likes: Counter[str] = Counter()
    for item in {event.item_id for event in stands}:
        of_item = CATEGORIES[ITEMS.index(item or "")]
        strongest = max(strength(event) for event in stands if event.item_id == item)
        likes.update({name: strongest / len(of_item) for name in of_item})
    total = sum(likes.values())

    profile = profile_of(rows)

    assert profile.interactions == len(stands)
    assert profile.ratings == len(ratings)
    assert profile.mean_rating == (pytest.approx(np.mean(ratings)) if ratings else None)
    assert profile.first_interaction_us == min((event.timestamp_us for event in stands), default=None)
    assert profile.last_interaction_us == max((event.timestamp_us for event in stands), default=None)
    assert profile.category_affinity == pytest.approx({name: like / total for name, like in likes.items()})
    for window in WINDOWS:
        end = (AS_OF // window.step_us + 1) * window.step_us
        inside = [event for event in stands if end - LENGTHS[window.name] <= event.timestamp_us < end]
        assert profile.windows[window.name] == len(inside)
    random.shuffle(rows)
    assert profile_of(rows + rows) == profile


def test_a_user_without_events_has_an_empty_profile() -> None:
    nothing = {window.name: 0 for window in WINDOWS}
    assert profile_of([]) == UserProfile(0, 0, None, None, None, nothing, {})
    assert profile_of([make_event("u", "i0"), make_event("u", "i0", "remove", timestamp_us=AS_OF)]) == profile_of([])


def test_windows_end_at_the_time_that_is_asked_for() -> None:
    view = make_event("u", "i0", "view", timestamp_us=AS_OF)
    assert set(profile_of([view]).windows.values()) == {1}
    ages = {"1_hour": 2 * HOUR_US, "24_hours": 2 * DAY_US, "7_days": 8 * DAY_US, "30_days": 31 * DAY_US}
    for name, age in ages.items():
        assert profile_of([view], AS_OF + age).windows[name] == 0
        assert profile_of([view], AS_OF - 2 * HOUR_US).windows[name] == 0, "an event after the time is not in it"
    assert profile_of([view], AS_OF - 2 * HOUR_US).interactions == 1, "but it is known"


def test_a_window_needs_only_the_step_that_a_time_lies_in() -> None:
    for each in WINDOWS:
        times = np.random.default_rng(0).integers(AS_OF - 2 * each.length_us, AS_OF + each.length_us, 1_000)
        starts = times // each.step_us * each.step_us
        assert each.covers(times, AS_OF).tolist() == each.covers(starts, AS_OF).tolist()
        assert each.covers(np.array([AS_OF - each.length_us + each.step_us]), AS_OF).all()
        assert not each.covers(np.array([AS_OF - each.length_us]), AS_OF).any()


def test_categories_share_an_item_and_stars_count() -> None:
    rows = [make_event("u", "i0", rating=5.0), make_event("u", "i1", rating=0.5), make_event("u", "i2", rating=5.0)]
    assert profile_of(rows).category_affinity == pytest.approx({"crime": 0.5 / 1.2, "drama": 0.7 / 1.2})
    assert profile_of(rows[2:]).category_affinity == {}


def test_totals_are_counted_for_each_group() -> None:
    group = np.array([2, 0, 2, 2])
    counted = totals(group, 3, np.array([5, -7, 3, 9]), np.array([4.0, np.nan, 2.5, np.nan]))
    assert counted.interactions.tolist() == [1, 0, 3]
    assert counted.ratings.tolist() == [0, 0, 2]
    assert counted.rating_sum.tolist() == [0, 0, 6.5]
    assert np.nan_to_num(counted.mean_rating, nan=-1).tolist() == [-1, -1, 3.25]
    assert (counted.first_us[[0, 2]].tolist(), counted.last_us[[0, 2]].tolist()) == ([-7, 3], [-7, 9])


def test_the_trend_is_one_for_steady_use_and_hardly_moves_with_few_events() -> None:
    trend = popularity_trend(np.array([7, 0, 1, 700, 0]), np.array([30, 0, 1, 700, 300]))
    assert trend == pytest.approx([1.0, 1.0, 2 / (1 + 7 / 30), 701 / (1 + 700 * 7 / 30), 1 / 71])
