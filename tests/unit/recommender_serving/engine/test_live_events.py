from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_serving.engine import live_events as module
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.events import Event
from recommender_serving.engine.fold_in import fold_in_ranking
from recommender_serving.engine.history import observe
from recommender_serving.engine.live_events import LiveEvents, UserObservations, user_observations
from tests.factories import START_US, history_of, make_event, make_model

USERS = ["u0", "u1"]
ITEMS = ["i0", "i1", "i2"]
ALL_ITEMS = [*ITEMS, "x0", "x1"]  # the model knows only ITEMS
MODEL = make_model(user_ids=USERS, item_ids=ITEMS)


class Past(NamedTuple):
    """What a batch rebuild makes of records 0..n."""

    events: list[Event]
    forgotten: set[Event]


def rebuild(records: list[Event]) -> Past:
    """The rules of the tables: first offset of equal events, and `forget` by position."""
    events: list[Event] = []
    seen: set[tuple[int, str]] = set()
    forgotten: set[Event] = set()
    for event in records:
        if (event.timestamp_us, event.event_id) in seen:
            continue
        seen.add((event.timestamp_us, event.event_id))
        if event.event_type == "forget":
            forgotten |= {other for other in events if other.user_id == event.user_id} | {event}
            events = [other for other in events if other.user_id != event.user_id]
        else:
            events.append(event)
    return Past(events, forgotten)


def as_dict(observed: UserObservations) -> dict[str, tuple[float, float]]:
    rows = zip(observed.items, np.nan_to_num(observed.ratings, nan=-1), observed.strengths, strict=True)
    return {ITEMS[item]: (float(rating), float(strength)) for item, rating, strength in rows}


def expected_of(events: list[Event], user_id: str) -> dict[str, tuple[float, float]]:
    history = history_of([event for event in events if event.user_id == user_id], [user_id], ALL_ITEMS)
    rows = observe(history, EventWeights(), RatingScale())
    return {
        ALL_ITEMS[item]: (float(rating), float(strength))
        for item, rating, strength in zip(rows.item, np.nan_to_num(rows.rating, nan=-1), rows.strength, strict=True)
    }


def events_of(users: list[str], items: list[str]) -> st.SearchStrategy[list[Event]]:
    event = st.builds(
        make_event,
        user_id=st.sampled_from(users),
        item_id=st.sampled_from(items),
        event_type=st.sampled_from(["rating", "rating", "view", "purchase", "remove", "remove", "forget"]),
        rating=st.integers(1, 10).map(lambda half_stars: half_stars / 2),
        timestamp_us=st.integers(0, 4).map(lambda second: START_US + second * 1_000_000),
    )
    return st.lists(event, max_size=15)


@settings(max_examples=300)
@given(events_of(USERS, ITEMS), events_of([*USERS, "new"], ALL_ITEMS), st.data())
def test_live_events_give_what_a_rebuild_gives(before: list[Event], after: list[Event], data: st.DataObject) -> None:
    past = rebuild(before)
    if before or after:
        after += data.draw(st.lists(st.sampled_from(before + after), max_size=6))
    # A model does not know what it no longer holds; that this comes again after a forget is the documented limit.
    latest = {(e.user_id, e.item_id, e.event_type): e for e in sorted(past.events, key=lambda e: e.timestamp_us)}
    gone = past.forgotten
    if any(event.event_type == "forget" for event in after):
        gone = set(before) - set(latest.values())
    gone_ids = {(event.timestamp_us, event.event_id) for event in gone}
    later = [e for e in enumerate(after, len(before)) if (e[1].timestamp_us, e[1].event_id) not in gone_ids]
    model = replace(MODEL, history=history_of(past.events, USERS, ITEMS))
    live = LiveEvents({0: len(before)})
    for offset, event in data.draw(st.permutations(later + later[:3])):
        live.apply(event, 0, offset)
    everything = rebuild(before + [event for _, event in later]).events
    for user_id in [*USERS, "new"]:
        observed = user_observations(model, live.of_user(user_id), user_id)
        expected = expected_of(everything, user_id)
        assert sorted(observed.unknown_items) == sorted(expected.keys() - set(ITEMS))
        assert as_dict(observed) == {item: values for item, values in expected.items() if item in ITEMS}
        assert observed.items.tolist() == sorted(observed.items)


def test_without_live_events_a_user_is_as_trained() -> None:
    model = make_model("nmf")
    for user, user_id in enumerate(model.user_ids[:]):
        observed = user_observations(model, (), user_id)
        x = fold_in_ranking(model.ranking, observed.items, observed.strengths)
        assert x == pytest.approx(model.ranking.user_factors[user], abs=1e-6)


def test_a_stranger_has_observed_nothing() -> None:
    observed = user_observations(make_model(), (), "stranger")
    assert (len(observed.items), len(observed.ratings), len(observed.strengths)) == (0, 0, 0)
    assert observed.unknown_items == []
    assert (observed.items.dtype, observed.ratings.dtype, observed.strengths.dtype) == (
        np.int32,
        np.float32,
        np.float32,
    )


def test_an_item_that_is_removed_is_not_unknown() -> None:
    live = LiveEvents({})
    for offset, (item_id, event_type) in enumerate([("x1", "view"), ("x0", "view"), ("x1", "remove")]):
        live.apply(make_event("u0", item_id, event_type, timestamp_us=START_US + offset), 0, offset)
    assert user_observations(make_model(), live.of_user("u0"), "u0").unknown_items == ["x0"]


def test_a_forget_takes_the_past_and_the_lower_offsets_of_its_own_partition() -> None:
    model = make_model(user_ids=USERS, item_ids=ITEMS)
    live = LiveEvents({})
    live.apply(make_event("u0", "i0", "view", timestamp_us=1), 0, 4)
    live.apply(make_event("u0", event_type="forget", timestamp_us=0), 0, 5)
    live.apply(make_event("u0", "i1", "view", timestamp_us=2), 0, 6)
    live.apply(make_event("u0", "i2", "view", timestamp_us=3), 1, 3)
    assert user_observations(model, live.of_user("u0"), "u0").items.tolist() == [1, 2]


def test_the_first_offset_of_equal_events_counts() -> None:
    live = LiveEvents({})
    live.apply(make_event("new", "i01", rating=1.0, event_id="e"), 0, 9)
    live.apply(make_event("new", "i01", rating=5.0, event_id="e"), 0, 8)
    assert user_observations(make_model(), live.of_user("new"), "new").ratings.tolist() == [5.0]


def test_the_past_comes_before_every_live_event() -> None:
    past = make_event("u0", "i0", rating=2.0, event_id="e")
    model = make_model(user_ids=USERS, item_ids=ITEMS, history=history_of([past], USERS, ITEMS))
    live = LiveEvents({})
    live.apply(make_event("u0", "i0", rating=5.0, event_id="e"), 0, 0)
    assert user_observations(model, live.of_user("u0"), "u0").ratings.tolist() == [2.0]


def test_records_are_kept_once_in_order_and_from_the_start_on() -> None:
    live = LiveEvents({0: 2})
    for partition, offset in [(0, 5), (0, 1), (1, 0), (0, 2), (0, 5), (0, 3)]:
        live.apply(make_event(), partition, offset)
    assert [(entry.partition, entry.offset) for entry in live.of_user("u1")] == [(0, 2), (0, 3), (0, 5), (1, 0)]
    assert list(live.of_user("other")) == []


def test_the_version_grows_with_every_new_event_of_the_user() -> None:
    live = LiveEvents({0: 1})
    assert live.version("u1") == 0
    live.apply(make_event("u1"), 0, 1)
    first = live.version("u1")
    live.apply(make_event("u1"), 0, 1)
    live.apply(make_event("u1"), 0, 0)
    live.apply(make_event("u2"), 0, 2)
    assert live.version("u1") == first > 0
    live.apply(make_event("u1"), 0, 3)
    assert live.version("u1") > live.version("u2") > first


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(0, 9))), st.data())
def test_a_view_from_a_start_is_a_store_that_started_there(
    records: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    start = {0: 4, 1: 6}
    store, discarded, fresh = LiveEvents({}), LiveEvents({}), LiveEvents(start)
    for user_id, partition, offset in records:
        for each in (store, discarded, fresh):
            each.apply(make_event(user_id), partition, offset)
    for _ in discarded.discard_before(start):
        pass
    for user_id, partition, offset in data.draw(st.permutations(records)):
        discarded.apply(make_event(user_id), partition, offset)
    for user_id in "abc":
        expected = list(fresh.of_user(user_id))
        assert list(store.of_user(user_id, start)) == list(discarded.of_user(user_id)) == expected
        assert bool(discarded.version(user_id)) == bool(expected)
    assert discarded.n_events == fresh.n_events


def test_events_that_arrive_while_others_are_discarded_stay() -> None:
    live = LiveEvents({0: 0})
    for offset in range(20):
        live.apply(make_event(f"u{offset % 10}"), 0, offset)
    for step, _ in enumerate(live.discard_before({0: 15})):
        live.apply(make_event(f"u{step}"), 0, 100 + step)
        live.apply(make_event(f"new{step}"), 0, 200 + step)
        live.apply(make_event("too late"), 0, 14)
    assert live.start == {0: 15}
    for user in range(10):
        assert [entry.offset for entry in live.of_user(f"u{user}")] == [10 + user] * (user >= 5) + [100 + user]
        assert [entry.offset for entry in live.of_user(f"new{user}")] == [200 + user]
    assert live.version("too late") == 0


def test_what_is_discarded_does_not_change_the_count_of_those_who_keep_events() -> None:
    live = LiveEvents({})
    for offset in range(4):
        live.apply(make_event("u1"), 0, offset)
    before = live.version("u1")
    for _ in live.discard_before({0: 2}):
        pass
    assert live.version("u1") == before
    live.apply(make_event("u1"), 0, 5)
    assert live.version("u1") > before


def store_with(most: int, *events: tuple[str, str]) -> LiveEvents:
    """A store after (user, event type), one offset each."""
    live = LiveEvents({}, most)
    for offset, (user_id, event_type) in enumerate(events):
        live.apply(make_event(user_id, f"i{offset:02d}", event_type, timestamp_us=START_US + offset), 0, offset)
    return live


def test_beyond_its_bound_a_store_lets_go_of_the_users_who_were_silent_for_longest() -> None:
    live = store_with(4, ("a", "view"), ("b", "view"), ("a", "view"), ("c", "view"))
    assert (live.n_events, live.n_dropped, live.has_dropped({})) == (4, 0, False)
    before = live.version("b")
    read, _ = live.changed_since(0)
    live.apply(make_event("d"), 0, 9)
    assert [len(live.of_user(user)) for user in "abcd"] == [2, 0, 1, 1]
    assert (live.n_events, live.n_dropped) == (4, 1)
    assert live.version("b") == 0 != before
    assert set(live.changed_since(read)[1]) == {"b", "d"}
    assert live.has_dropped({})
    assert live.has_dropped({0: 1})
    assert not live.has_dropped({0: 2}), "a model that knows it does not miss it"
    live.apply(make_event("b", "i07"), 0, 10)
    assert [len(live.of_user(user)) for user in "abcd"] == [0, 1, 1, 1], "whoever comes back counts from then on"


def test_a_forget_is_never_let_go_of() -> None:
    live = store_with(2, ("a", "view"), ("a", "forget"), ("b", "view"), ("c", "view"))
    assert [entry.event.event_type for entry in live.of_user("a")] == ["forget"]
    assert live.version("a") > 0
    model = make_model(user_ids=["a"], item_ids=["i0"])
    assert not len(user_observations(model, live.of_user("a"), "a").items)
    for offset in range(10, 20):
        live.apply(make_event(f"x{offset}", event_type="forget"), 0, offset)
    assert live.n_events == 11, "room is made for what must not be lost"


def test_one_users_events_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OF_ONE_USER", 3)
    live = store_with(100, ("a", "view"), ("a", "forget"), ("a", "view"), ("a", "view"), ("a", "view"))
    assert [entry.offset for entry in live.of_user("a")] == [1, 3, 4]
    assert (live.n_events, live.n_dropped) == (3, 2)
    for offset in range(5, 9):
        live.apply(make_event("a", event_type="forget"), 0, offset)
    assert [entry.offset for entry in live.of_user("a")] == [6, 7, 8]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), max_size=60), st.integers(1, 12))
def test_a_bounded_store_holds_whole_users_as_an_unbounded_one_does(records: list[tuple[str, int]], most: int) -> None:
    bounded, whole = LiveEvents({}, most), LiveEvents({}, 1_000)
    for user_id, offset in records:
        before = bounded.version(user_id)
        bounded.apply(make_event(user_id), 0, offset)
        whole.apply(make_event(user_id), 0, offset)
        assert bounded.n_events == sum(len(bounded.of_user(user)) for user in "abcdef") <= most
        if bounded.version(user_id) > before:
            assert bounded.of_user(user_id), "who came last is there"
    if not bounded.n_dropped:
        assert all(list(bounded.of_user(user)) == list(whole.of_user(user)) for user in "abcdef")


def test_a_soak_of_events_takes_no_more_than_its_bound() -> None:
    live = LiveEvents({}, 2_000)
    for offset in range(60_000):
        live.apply(make_event(f"u{offset * 7919 % 10_007}", "i01", timestamp_us=START_US + offset), 0, offset)
        if offset % 1_000 == 0:
            assert live.n_events <= 2_000
            assert len(live._by_user) == len(live._versions) <= 2_000
    assert live.n_events + live.n_dropped == 60_000
