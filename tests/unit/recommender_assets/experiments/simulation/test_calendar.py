import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.experiments.attribution import DAY_US
from recommender_assets.experiments.simulation.calendar import RETURN_PROBABILITY, stretched, visits_by_day


@given(st.integers(0, 300), st.integers(1, 30))
def test_every_visitor_comes_first_on_one_day_and_never_before(visitors: int, days: int) -> None:
    first: list[int] = []
    for visits in visits_by_day(visitors, days, np.random.default_rng(0)):
        first += [visit.visitor for visit in visits if visit.is_first]
        assert len({visit.visitor for visit in visits}) == len(visits)
        assert {visit.visitor for visit in visits if not visit.is_first} <= set(first)
    assert first == list(range(visitors))


def test_days_have_the_same_number_of_new_visitors_and_some_come_back() -> None:
    days = list(visits_by_day(7_000, 14, np.random.default_rng(0)))
    assert {sum(visit.is_first for visit in visits) for visits in days} == {500}
    returns = sum(not visit.is_first for visits in days for visit in visits)
    assert returns == pytest.approx(RETURN_PROBABILITY * 500 * sum(range(14)), rel=0.1)


def test_a_day_becomes_24_hours_however_long_it_took() -> None:
    placed = stretched([1_000, 1_100, 1_400], [1_000, 1_050, 1_100, 1_250, 1_399])
    assert placed[:4].tolist() == [1_000, 1_000 + DAY_US // 2, 1_000 + DAY_US, 1_000 + 3 * DAY_US // 2]
    assert placed[4] < 1_000 + 2 * DAY_US


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), st.lists(st.integers(0, 10**10), max_size=50))
def test_the_order_of_moments_stays(lengths: list[int], moments: list[int]) -> None:
    placed = stretched(np.cumsum([0, *lengths]).tolist(), sorted(moments))
    assert (np.diff(placed) >= 0).all()
    assert ((placed >= 0) & (placed < len(lengths) * DAY_US)).all()


def test_a_day_that_is_not_over_has_no_length() -> None:
    with pytest.raises(ValueError, match="has to be over"):
        stretched([1_000], [1_000])
