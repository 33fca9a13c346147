import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.experiments.click_simulator import ClickModel, draw_visitor

LIST = ("a", "b", "c", "d")
RATINGS = {"a": 3.0, "b": 5.0, "c": 4.0}


def test_a_click_needs_a_look_and_an_attractive_item() -> None:
    model = ClickModel(position_bias=1.0, liked=0.6, known=0.1, unknown=0.02, liked_from=4.0)
    assert model.probabilities(LIST, RATINGS) == pytest.approx([0.1, 0.6 / 2, 0.6 / 3, 0.02 / 4])


def test_without_position_bias_every_place_is_looked_at() -> None:
    assert ClickModel(position_bias=0.0).probabilities(("b", "b", "b"), RATINGS) == pytest.approx([0.6] * 3)


def test_clicks_come_as_often_as_their_probability() -> None:
    model, generator = ClickModel(), np.random.default_rng(0)
    counts = dict.fromkeys(LIST, 0)
    for _ in range(20_000):
        for item in model.clicks(LIST, RATINGS, generator):
            counts[item] += 1
    expected = model.probabilities(LIST, RATINGS)
    assert [counts[item] / 20_000 for item in LIST] == pytest.approx(list(expected), abs=0.012)


def test_a_list_with_what_visitors_like_at_the_top_is_clicked_more() -> None:
    model = ClickModel()
    assert (
        model.probabilities(("b", "c", "d", "a"), RATINGS).sum()
        > model.probabilities(("d", "a", "c", "b"), RATINGS).sum()
    )


RATED = st.dictionaries(st.text(min_size=1, max_size=4), st.floats(0.5, 5), min_size=1, max_size=60)


@given(RATED, RATED, st.integers(0, 99))
def test_a_visitor_tells_what_models_know_and_keeps_what_is_held_out(
    known: dict[str, float], held_out: dict[str, float], seed: int
) -> None:
    visitor = draw_visitor(known, held_out, np.random.default_rng(seed), most_told=20)
    assert visitor.told.items() <= known.items()
    assert len(visitor.told) == min(20, len(known))
    assert visitor.kept == held_out


def test_two_visitors_of_one_user_differ() -> None:
    known = {str(item): 4.0 for item in range(60)}
    generator = np.random.default_rng(0)
    assert draw_visitor(known, {"x": 5.0}, generator) != draw_visitor(known, {"x": 5.0}, generator)


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match="got 1 that models know and 0 held out"):
        draw_visitor({"a": 5.0}, {}, np.random.default_rng(0))
    with pytest.raises(ValueError, match="got 0 that models know and 1 held out"):
        draw_visitor({}, {"a": 5.0}, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"liked must be a probability, got 1\.5"):
        ClickModel(liked=1.5)
    with pytest.raises(ValueError, match="position_bias"):
        ClickModel(position_bias=-1)
