from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.events import TYPE_CODES, Event
from recommender_serving.engine.history import History, Observations, latest_events, observe
from tests.factories import START_US, history_of, make_event

USERS = ["u0", "u1", "u2"]
ITEMS = ["i0", "i1", "i2"]
WEIGHTS, SCALE = EventWeights(), RatingScale()

# Few users, items and times, so that the same pair and even the same instant come up often.
events = st.builds(
    make_event,
    user_id=st.sampled_from(USERS),
    item_id=st.sampled_from(ITEMS),
    event_type=st.sampled_from(["rating", "view", "click", "purchase", "remove"]),
    rating=st.integers(1, 10).map(lambda half_stars: half_stars / 2),
    timestamp_us=st.integers(0, 3).map(lambda second: START_US + second * 1_000_000),
    event_id=st.sampled_from(["a", "b", "c"]),
)


def columns(part: History | Observations) -> dict[str, list[float]]:
    """All arrays as lists, NaN as -1 to make them comparable."""
    return {field.name: np.nan_to_num(getattr(part, field.name), nan=-1).tolist() for field in fields(part)}


def observed(rows: list[Event]) -> Observations:
    return observe(history_of(rows, USERS, ITEMS), WEIGHTS, SCALE)


def expected_pairs(rows: list[Event]) -> dict[tuple[str, str], tuple[float, float]]:
    """(rating or -1, strength) of every pair that stands, straight from the definition."""
    latest: dict[tuple[str, str, str], Event] = {}
    for event in sorted(rows, key=lambda event: (event.timestamp_us, event.event_key, event.rating or 0)):
        latest[event.user_id, event.item_id or "", event.event_type] = event
    pairs: dict[tuple[str, str], tuple[float, float]] = {}
    for (user_id, item_id, event_type), event in latest.items():
        removal = latest.get((user_id, item_id, "remove"))
        order = (event.timestamp_us, event.event_key)
        if event_type == "remove" or (removal and order <= (removal.timestamp_us, removal.event_key)):
            continue
        strength = getattr(WEIGHTS, event_type)
        if event.rating is not None:
            strength = 0.2 + 0.8 * (event.rating - 0.5) / 4.5
        rating, strongest = pairs.get((user_id, item_id), (-1.0, 0.0))
        pairs[user_id, item_id] = (rating if event.rating is None else event.rating, max(strongest, strength))
    return pairs


@given(st.lists(events, max_size=25))
def test_observations_are_what_the_definition_says(rows: list[Event]) -> None:
    result = observed(rows)
    found = {
        (USERS[user], ITEMS[item]): (-1.0 if np.isnan(rating) else float(rating), float(strength))
        for user, item, rating, strength in zip(
            result.user_of_row(), result.item, result.rating, result.strength, strict=True
        )
    }
    expected = expected_pairs(rows)
    assert found.keys() == expected.keys()
    for pair, values in expected.items():
        assert found[pair] == pytest.approx(values, rel=1e-6)
    assert len(result.item) == len(found)


@given(st.lists(events, max_size=25), st.data())
def test_neither_order_nor_repetition_matters(rows: list[Event], data: st.DataObject) -> None:
    repeated = rows + (data.draw(st.lists(st.sampled_from(rows))) if rows else [])
    shuffled = data.draw(st.permutations(repeated))
    history, again = history_of(rows, USERS, ITEMS), history_of(shuffled, USERS, ITEMS)
    assert columns(history) == columns(again)
    assert columns(observe(history, WEIGHTS, SCALE)) == columns(observe(again, WEIGHTS, SCALE))


@given(st.lists(events, max_size=25))
def test_a_history_is_sorted_and_has_the_types_it_promises(rows: list[Event]) -> None:
    history = history_of(rows, USERS, ITEMS)
    triples = list(zip(history.user_of_row(), history.item, history.event_type, strict=True))
    assert triples == sorted(set(triples))
    assert len(triples) == len({(event.user_id, event.item_id, event.event_type) for event in rows})
    types = [getattr(history, field.name).dtype for field in fields(history)]
    assert types == [np.int64, np.int32, np.int8, np.float32, np.int64, np.int64]
    assert history.n_users == len(USERS)
    assert np.array_equal(np.isnan(history.rating), history.event_type != TYPE_CODES["rating"])
    observations = observe(history, WEIGHTS, SCALE)
    types = [getattr(observations, field.name).dtype for field in fields(observations)]
    assert types == [np.int64, np.int32, np.float32, np.float32]
    pairs = list(zip(observations.user_of_row(), observations.item, strict=True))
    assert pairs == sorted(set(pairs))
    assert observations.indptr[-1] == len(pairs)


@given(st.lists(events, max_size=25))
def test_a_history_rebuilt_from_itself_is_the_same(rows: list[Event]) -> None:
    history = history_of(rows, USERS, ITEMS)
    again = latest_events(
        history.n_users,
        history.user_of_row(),
        history.item,
        history.event_type,
        history.rating,
        history.timestamp_us,
        history.event_key,
    )
    assert columns(again) == columns(history)


@pytest.mark.parametrize(("rating", "strength"), [(0.5, 0.2), (5.0, 1.0), (2.75, 0.6), (0.0, 0.2), (9.0, 1.0)])
def test_strength_of_a_rating_is_linear_and_ends_with_the_scale(rating: float, strength: float) -> None:
    assert observed([make_event("u0", "i0", rating=rating)]).strength.tolist() == pytest.approx([strength])


def test_the_strongest_type_counts_and_the_rating_stays() -> None:
    rows = [make_event("u0", "i0", rating=1.0), make_event("u0", "i0", "purchase"), make_event("u0", "i0", "view")]
    result = observed(rows)
    assert result.rating.tolist() == [1.0]
    assert result.strength.tolist() == [1.0]


def test_what_comes_after_a_removal_stands() -> None:
    rows = [
        make_event("u0", "i0", rating=1.0, timestamp_us=1),
        make_event("u0", "i0", "remove", timestamp_us=2),
        make_event("u0", "i0", "view", timestamp_us=3),
    ]
    result = observed(rows)
    assert np.isnan(result.rating).tolist() == [True]
    assert result.strength.tolist() == pytest.approx([0.1])


def test_a_removal_at_the_same_instant_is_decided_by_the_key() -> None:
    first, second = sorted(["a", "b"], key=lambda name: make_event(event_id=name).event_key)
    stands = [make_event("u0", "i0", "remove", event_id=first), make_event("u0", "i0", "view", event_id=second)]
    removed = [make_event("u0", "i0", "remove", event_id=second), make_event("u0", "i0", "view", event_id=first)]
    equal = [make_event("u0", "i0", "remove", event_id="a"), make_event("u0", "i0", "view", event_id="a")]
    assert [len(observed(rows).item) for rows in (stands, removed, equal)] == [1, 0, 0]


def test_rows_of_a_user_and_a_selection() -> None:
    result = observed([make_event(user, item) for user in ("u0", "u2") for item in ("i0", "i2")])
    assert result.n_users == 3
    assert [result.rows_of(user) for user in range(3)] == [slice(0, 2), slice(2, 2), slice(2, 4)]
    chosen = result.select(np.array([False, True, True, True]))
    assert chosen.indptr.tolist() == [0, 1, 1, 3]
    assert chosen.item.tolist() == [2, 0, 2]
    assert chosen.user_of_row().tolist() == [0, 2, 2]
    assert chosen.indptr.dtype == np.int64


def test_nothing_is_nothing() -> None:
    result = observed([])
    assert result.indptr.tolist() == [0, 0, 0, 0]
    assert result.select(np.empty(0, dtype=bool)).indptr.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("user", "item", "event_type", "name"),
    [(3, 0, 0, "user"), (-1, 0, 0, "user"), (0, -1, 0, "item"), (0, 0, 5, "event_type"), (0, 0, -1, "event_type")],
)
def test_values_out_of_range_are_named(user: int, item: int, event_type: int, name: str) -> None:
    one = np.ones(1, dtype=np.int64)
    with pytest.raises(ValueError, match=f"{name} must lie in 0.."):
        latest_events(3, one * user, one * item, one * event_type, one.astype(np.float32), one, one)


def test_time_decides_before_the_key_and_the_key_before_the_rating() -> None:
    low, high = sorted(["a", "b"], key=lambda name: make_event(event_id=name).event_key)
    early = make_event("u0", "i0", rating=1.0, timestamp_us=1, event_id=high)
    late = make_event("u0", "i0", rating=0.5, timestamp_us=2, event_id=low)
    same_time = make_event("u0", "i0", rating=5.0, timestamp_us=1, event_id=low)
    assert observed([late, early]).rating.tolist() == [0.5]
    assert observed([same_time, early]).rating.tolist() == [1.0]
