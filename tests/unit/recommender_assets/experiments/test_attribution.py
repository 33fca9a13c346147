from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.experiments.attribution import DAY_US, HOUR_US, Outcomes, attribute

WINDOW_HOURS = 24.0


def served(*rows: tuple[str, str, str, float, tuple[str, ...]]) -> pd.DataFrame:
    """Rows of ranking id, user, arm, hour and items."""
    frame = pd.DataFrame(list(rows), columns=["ranking_id", "user_id", "arm", "served_at", "items"])
    return frame.assign(served_at=(frame["served_at"] * HOUR_US).astype("int64"))


def feedback(*rows: tuple[str, str, float, str | None], kind: str = "click", rating: float = np.nan) -> pd.DataFrame:
    """Rows of user, item, hour and ranking id."""
    frame = pd.DataFrame(list(rows), columns=["user_id", "item_id", "at", "ranking_id"])
    return frame.assign(at=(frame["at"].astype(float) * HOUR_US).astype("int64"), kind=kind, rating=rating)


LISTS = served(
    ("r1", "ann", "control", 1, ("a", "b")),
    ("r2", "ann", "control", 2, ("a", "c")),
    ("r3", "bob", "treatment", 3, ("a",)),
)


def clicked(outcomes: Outcomes) -> dict[str, float]:
    totals = outcomes.cumulative()[-1].set_index("user_id")["clicked_lists"]
    return {str(user): float(count) for user, count in totals.items()}


def test_a_click_that_names_its_list_counts_for_it() -> None:
    outcomes = attribute(LISTS, feedback(("ann", "b", 5, "r1"), ("bob", "a", 4, "r3")), WINDOW_HOURS)
    assert clicked(outcomes) == {"ann": 1, "bob": 1}
    assert outcomes.unattributed == 0


@pytest.mark.parametrize(
    ("click", "why"),
    [
        (("bob", "b", 5, "r1"), "another user's list"),
        (("ann", "z", 5, "r1"), "an item that the list did not hold"),
        (("ann", "b", 5, "r9"), "a list that nobody served"),
        (("ann", "z", 5, None), "an item that no list held"),
        (("ann", "b", 0.5, None), "before the list"),
        (("ann", "b", 25.1, None), "after the window"),
    ],
)
def test_other_clicks_belong_to_no_list(click: tuple[str, str, float, str | None], why: str) -> None:
    outcomes = attribute(LISTS, feedback(click), WINDOW_HOURS)
    assert (sum(clicked(outcomes).values()), outcomes.unattributed) == (0, 1), why


def test_without_a_name_the_latest_list_with_the_item_counts() -> None:
    both = attribute(LISTS, feedback(("ann", "a", 3, None), ("ann", "b", 3, None)), WINDOW_HOURS)
    assert clicked(both)["ann"] == 2
    one = attribute(LISTS, feedback(("ann", "a", 3, None), ("ann", "c", 3, None)), WINDOW_HOURS)
    assert clicked(one)["ann"] == 1


def test_repeated_clicks_count_once() -> None:
    outcomes = attribute(LISTS, feedback(*[("ann", "a", hour, "r1") for hour in (3, 4, 5)]), WINDOW_HOURS)
    assert (clicked(outcomes)["ann"], outcomes.duplicates) == (1, 2)


def test_several_clicks_on_one_list_are_one_clicked_list() -> None:
    assert clicked(attribute(LISTS, feedback(("ann", "a", 3, "r1"), ("ann", "b", 3, "r1")), WINDOW_HOURS))["ann"] == 1


def test_views_and_removals_are_no_interest() -> None:
    for kind in ("view", "remove", "forget"):
        assert sum(clicked(attribute(LISTS, feedback(("ann", "a", 3, "r1"), kind=kind), WINDOW_HOURS)).values()) == 0


def test_ratings_of_listed_items_are_summed() -> None:
    rated = pd.concat([feedback(("ann", "a", 3, "r1"), kind="rating", rating=4.0), feedback(("ann", "b", 3, "r1"))])
    totals = attribute(LISTS, rated, WINDOW_HOURS).cumulative()[-1].set_index("user_id")
    assert tuple(totals.loc["ann", ["ratings", "rating_sum", "lists"]]) == (1, 4.0, 2)


def test_a_user_of_two_arms_is_left_out_and_counted() -> None:
    mixed = pd.concat([LISTS, served(("r4", "ann", "treatment", 9, ("a",)))])
    outcomes = attribute(mixed, feedback(("ann", "a", 10, "r4"), ("bob", "a", 4, "r3")), WINDOW_HOURS)
    assert outcomes.crossed_users == 1
    assert clicked(outcomes) == {"bob": 1}


def test_outcomes_are_counted_on_the_day_of_the_list() -> None:
    lists = served(("r1", "ann", "control", 0, ("a",)), ("r2", "ann", "control", 30, ("b",)))
    daily = attribute(lists, feedback(("ann", "b", 49, "r2")), WINDOW_HOURS).daily
    assert daily[["day", "lists", "clicked_lists"]].to_numpy().tolist() == [[0, 1, 0], [1, 1, 1]]
    assert DAY_US == 24 * HOUR_US


def test_no_list_at_all_gives_no_user() -> None:
    outcomes = attribute(LISTS.iloc[:0], feedback(("ann", "a", 3, None)), WINDOW_HOURS)
    assert [len(frame) for frame in outcomes.cumulative()] == [0]
    assert outcomes.unattributed == 1


events = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]), st.sampled_from("abc"), st.integers(0, 30), st.sampled_from(["r1", "r3", None])
    ),
    max_size=12,
)


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_events_and_lists_does_not_matter(rows: list[Any], random: Any) -> None:
    shuffled, lists = list(rows), LISTS.sample(frac=1, random_state=random.randrange(1000))
    random.shuffle(shuffled)
    one, other = attribute(LISTS, feedback(*rows), WINDOW_HOURS), attribute(lists, feedback(*shuffled), WINDOW_HOURS)
    pd.testing.assert_frame_equal(one.daily, other.daily)
    assert (one.unattributed, one.duplicates) == (other.unattributed, other.duplicates)


@given(events)
def test_sending_everything_twice_changes_no_outcome(rows: list[Any]) -> None:
    once, twice = feedback(*rows), feedback(*rows, *rows)
    pd.testing.assert_frame_equal(
        attribute(LISTS, once, WINDOW_HOURS).daily, attribute(pd.concat([LISTS, LISTS]), twice, WINDOW_HOURS).daily
    )
