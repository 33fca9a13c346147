import dataclasses
import time
from collections.abc import Coroutine
from itertools import count
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender_serving.answers import RecommendationList
from recommender_serving.engine.config import RatingScale
from recommender_serving.engine.events import EVENT_TYPES, Event
from recommender_serving.engine.live_events import LiveEvents
from recommender_serving.rendered_list import ListSettings
from recommender_serving.snapshot import Snapshot
from tests.factories import START_US, history_of, make_event, make_model
from tests.unit.recommender_serving.snapshots import snapshot_of

T = TypeVar("T")

USERS = ["u0", "u1", "u2"]
ITEMS = [f"i{number:02d}" for number in range(15)]
HYPOTHESIS_MODEL = make_model(user_ids=USERS, item_ids=ITEMS, seed=2)


def live_with(*events: Event) -> LiveEvents:
    live = LiveEvents({})
    for offset, event in enumerate(events):
        live.apply(event, 0, offset)
    return live


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for, as none has with a small catalogue."""
    with pytest.raises(StopIteration) as finished:
        coroutine.send(None)
    result: T = finished.value.value
    return result


def recommend(snapshot: Snapshot, user_id: str, n: int, *, exclude_seen: bool = True) -> RecommendationList:
    return now(snapshot.recommend(user_id, ListSettings(n, exclude_seen)))


ratings = st.lists(
    st.builds(
        make_event,
        user_id=st.sampled_from(USERS),
        item_id=st.sampled_from(ITEMS),
        event_type=st.sampled_from(["rating", "view", "click", "purchase", "remove"]),
        rating=st.integers(1, 10).map(lambda stars: stars / 2),
        timestamp_us=st.integers(0, 50).map(lambda second: START_US + second * 1_000_000),
    ),
    max_size=25,
)


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
@settings(deadline=None, max_examples=60)
@given(events=ratings, cut=st.integers(0, 25))
def test_a_folded_in_user_equals_the_user_of_a_model_trained_on_the_same_events(
    algorithm: str, events: list[Event], cut: int
) -> None:
    """The same item factors with all events in training, and with the later ones live: equal vectors and lists."""
    trained = make_model(algorithm, user_ids=USERS, item_ids=ITEMS, history=history_of(events, USERS, ITEMS))
    base = make_model(algorithm, user_ids=USERS, item_ids=ITEMS, history=history_of(events[:cut], USERS, ITEMS))
    folded, whole = snapshot_of(base, live_with(*events[cut:])), snapshot_of(trained)
    for user in USERS:
        got, expected = folded.state_of(user), whole.state_of(user)
        assert (got.source == "popular") == (expected.source == "popular")
        assert got.seen.tolist() == expected.seen.tolist()
        if expected.source != "popular":
            np.testing.assert_allclose(got.ranking, expected.ranking, atol=1e-5)
            np.testing.assert_allclose(got.rating, expected.rating, atol=1e-5)
            assert got.bias == pytest.approx(expected.bias, abs=1e-5)


def test_a_known_user_without_events_has_the_stored_vectors() -> None:
    model = make_model(n_users=4, n_items=20)
    state = snapshot_of(model).state_of("u2")
    assert state.source == "personalized"
    assert np.array_equal(state.ranking, model.ranking.user_factors[2])
    assert np.array_equal(state.rating, model.rating.user_factors[2])


def test_a_user_is_solved_again_only_after_an_event() -> None:
    live = LiveEvents({})
    snapshot = snapshot_of(make_model(n_users=4, n_items=20), live)
    before = snapshot.state_of("u1")
    live.apply(make_event("u2", "i03"), 0, 0)
    assert snapshot.state_of("u1") is before
    live.apply(make_event("u1", "i03"), 0, 1)
    after = snapshot.state_of("u1")
    assert after is not before
    assert snapshot.state_of("u1") is after


def test_the_number_of_kept_users_is_bounded_and_evicted_users_come_back_equal() -> None:
    snapshot = snapshot_of(make_model(n_users=9, n_items=20), cache_bytes=4_000)
    before = [recommend(snapshot, f"u{user}", 5, exclude_seen=True) for user in range(9)]
    assert len(snapshot._users) == 3
    assert [recommend(snapshot, f"u{user}", 5, exclude_seen=True) for user in range(9)] == before


def test_rendered_lists_equal_lists_and_die_with_the_users_next_event() -> None:
    live = LiveEvents({})
    snapshot = snapshot_of(make_model(n_users=9, n_items=20), live, cache_bytes=9_000)
    offsets = count()
    for turn in range(3):
        for user in [f"u{number}" for number in range(9)] + ["nobody"]:
            for n, exclude_seen in ((3, True), (5, True), (5, False)):
                expected = recommend(snapshot, user, n, exclude_seen=exclude_seen)
                for ranking_id in (b"first", b"second"):
                    rendered = now(snapshot.answer(user, ListSettings(n, exclude_seen)))
                    source, body = rendered.source, rendered.answer(user, b"null", ranking_id)
                    assert list(rendered.items) == [entry.item_id for entry in expected.recommendations]
                    assert msgspec.json.decode(body, type=type(expected)) == msgspec.structs.replace(
                        expected, ranking_id=ranking_id.decode()
                    )
                    assert source == expected.source
            live.apply(make_event(user, f"i{turn:02d}"), 0, next(offsets))
    assert 1 <= len(snapshot._users) <= 4
    assert snapshot._users.size <= 9_000


def test_after_forget_a_user_is_a_stranger() -> None:
    model = make_model(n_users=4, n_items=20)
    snapshot = snapshot_of(model, live_with(make_event("u1", "i03"), make_event("u1", event_type="forget")))
    answer = recommend(snapshot, "u1", 5, exclude_seen=True)
    assert answer.source == "popular"
    stranger = recommend(snapshot, "nobody", 5, exclude_seen=True)
    assert answer.recommendations == stranger.recommendations


def test_a_list_is_shorter_only_when_nothing_is_left() -> None:
    model = make_model(n_users=3, n_items=6)
    snapshot = snapshot_of(model)
    seen = len(snapshot.state_of("u0").seen)
    assert seen > 0
    assert len(recommend(snapshot, "u0", 20, exclude_seen=True).recommendations) == 6 - seen
    assert len(recommend(snapshot, "u0", 20, exclude_seen=False).recommendations) == 6


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_predicted_ratings_stay_on_the_scale(algorithm: str) -> None:
    model = make_model(algorithm, n_users=5, n_items=30)
    model.rating.item_factors[:] *= 50
    for user in ("u0", "u1", "nobody"):
        for entry in recommend(snapshot_of(model), user, 20, exclude_seen=False).recommendations:
            assert 0.5 <= entry.predicted_rating <= 5.0


def test_events_are_known_from_training_and_from_live() -> None:
    trained, live, neither = (make_event("u0", item) for item in ("i01", "i02", "i03"))
    model = make_model(user_ids=USERS, item_ids=ITEMS, history=history_of([trained], USERS, ITEMS))
    snapshot = snapshot_of(model, live_with(live))
    assert snapshot.holds(trained)
    assert snapshot.holds(live)
    assert not snapshot.holds(neither)
    assert not snapshot.holds(make_event("nobody", "i01"))


def test_the_newest_event_dates_the_answer() -> None:
    events = [make_event("u0", f"i0{n}", timestamp_us=START_US + n * 1_000_000) for n in (3, 1, 2)]
    snapshot = snapshot_of(make_model(user_ids=USERS, item_ids=ITEMS), live_with(*events))
    assert recommend(snapshot, "u0", 1, exclude_seen=True).as_of == "2024-01-01T00:00:03Z"


events_of_all_types = st.lists(
    st.builds(
        make_event,
        user_id=st.sampled_from(USERS),
        item_id=st.sampled_from([*ITEMS, "unheard-of"]),
        event_type=st.sampled_from(EVENT_TYPES),
        rating=st.integers(1, 10).map(lambda stars: stars / 2),
        timestamp_us=st.integers(0, 50).map(lambda second: START_US + second * 1_000_000),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=60)
@given(events=events_of_all_types, n=st.integers(1, 20), seen=st.sampled_from([True, False]))
def test_after_any_events_a_kept_snapshot_answers_like_a_new_one(
    events: list[Event], n: int, seen: Literal[True, False]
) -> None:
    """Asked after every event, so that each answer could be a stale one; the new snapshot has nothing to be stale."""
    live = LiveEvents({})
    kept = snapshot_of(HYPOTHESIS_MODEL, live, cache_bytes=6_000)
    for offset, event in enumerate(events):
        live.apply(event, 0, offset)
        for user in USERS:
            answer = now(kept.answer(user, ListSettings(n, seen)))
            fresh = snapshot_of(HYPOTHESIS_MODEL, live_with(*events[: offset + 1]))
            assert answer == now(fresh.answer(user, ListSettings(n, seen)))


@settings(deadline=None, max_examples=60)
@given(events=events_of_all_types, n=st.integers(1, 20))
def test_no_list_repeats_an_item_or_shows_a_seen_one(events: list[Event], n: int) -> None:
    snapshot = snapshot_of(HYPOTHESIS_MODEL, live_with(*events))
    for user in [*USERS, "nobody"]:
        seen = {ITEMS[item] for item in snapshot.state_of(user).seen}
        entries = recommend(snapshot, user, n, exclude_seen=True).recommendations
        items = [entry.item_id for entry in entries]
        assert len(set(items)) == len(items) == min(n, len(ITEMS) - len(seen))
        assert not seen & set(items)
        assert [entry.score for entry in entries] == sorted((entry.score for entry in entries), reverse=True)
        assert all(0.5 <= entry.predicted_rating <= 5.0 for entry in entries)


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_a_stranger_is_predicted_the_average_users_stars(algorithm: str) -> None:
    model = make_model(algorithm, n_users=4, n_items=20)
    head = model.rating
    for entry in recommend(snapshot_of(model), "nobody", 20, exclude_seen=True).recommendations:
        item = model.item_ids.index(entry.item_id)
        stars = head.global_mean + head.item_bias[item] + head.item_factors[item] @ head.prior
        assert entry.predicted_rating == pytest.approx(float(np.clip(stars, 0.5, 5.0)), abs=1e-5)
        assert entry.score == model.popularity[item]


def test_the_scale_of_the_model_bounds_the_stars() -> None:
    model = make_model(n_users=4, n_items=20)
    scale = RatingScale(min=3.4, max=3.6)
    narrow = dataclasses.replace(model, manifest=msgspec.structs.replace(model.manifest, scale=scale))
    stars = [e.predicted_rating for e in recommend(snapshot_of(narrow), "u0", 20, exclude_seen=False).recommendations]
    assert min(stars) == 3.4
    assert max(stars) == 3.6


def test_events_of_unknown_items_only_keep_a_trained_user_personal() -> None:
    snapshot = snapshot_of(HYPOTHESIS_MODEL, live_with(make_event("u0", "unheard-of")))
    before = snapshot_of(HYPOTHESIS_MODEL)
    answer = recommend(snapshot, "u0", 5, exclude_seen=True)
    assert answer.unknown_items == ["unheard-of"]
    assert answer.source == "folded_in"
    expected = recommend(before, "u0", 5, exclude_seen=True)
    assert [entry.item_id for entry in answer.recommendations] == [entry.item_id for entry in expected.recommendations]


def test_the_time_of_the_answer_keeps_fractions_of_a_second() -> None:
    live = live_with(make_event("nobody", "i03", timestamp_us=START_US + 1))
    snapshot = snapshot_of(HYPOTHESIS_MODEL, live)
    assert recommend(snapshot, "nobody", 1, exclude_seen=True).as_of == "2024-01-01T00:00:00.000001Z"
    assert recommend(snapshot, "u0", 1, exclude_seen=True).as_of == HYPOTHESIS_MODEL.manifest.created_at


def test_an_event_is_known_by_id_and_time_together() -> None:
    trained = make_event("u0", "i01", event_id="id-1")
    model = make_model(user_ids=USERS, item_ids=ITEMS, history=history_of([trained], USERS, ITEMS))
    for snapshot in (snapshot_of(model), snapshot_of(HYPOTHESIS_MODEL, live_with(trained))):
        assert snapshot.holds(make_event("u0", "i09", "view", event_id="id-1")), "whatever else it says"
        assert not snapshot.holds(make_event("u0", "i01", event_id="id-1", timestamp_us=START_US + 1))
        assert not snapshot.holds(make_event("u0", "i01", event_id="id-2"))
        assert not snapshot.holds(make_event("u1", "i01", event_id="id-1"))


async def test_another_models_latest_askers_find_their_lists_ready() -> None:
    live = LiveEvents({})
    old, new = (snapshot_of(make_model(n_users=9, n_items=20, seed=seed), live) for seed in (0, 1))
    asked = [("u1", ListSettings(5)), ("u2", ListSettings(7, exclude_seen=False)), ("guest", ListSettings(5))]
    for user_id, wanted in asked:
        await old.answer(user_id, wanted)
    await new.take_over(old, until=time.monotonic() + 60)
    ready = {(user_id, key) for user_id, user in new._users._users.items() for key in user.lists}
    assert ready == set(asked[:2])
    fresh = snapshot_of(make_model(n_users=9, n_items=20, seed=1), live)
    for user_id, wanted in asked:
        assert await new.answer(user_id, wanted) == await fresh.answer(user_id, wanted)


async def test_taking_over_ends_in_time_and_begins_with_the_latest() -> None:
    old, new = snapshot_of(make_model(n_users=9, n_items=20)), snapshot_of(make_model(n_users=9, n_items=20, seed=1))
    for user in range(9):
        await old.answer(f"u{user}", ListSettings(5))
    assert [user_id for user_id, _ in old._users.latest()] == [f"u{user}" for user in range(8, -1, -1)]
    await new.take_over(old, until=time.monotonic())
    assert len(new._users) == 0
