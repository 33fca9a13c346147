import numpy as np
import pytest

from recommender_serving.engine import live_catalogue as module
from recommender_serving.engine.live_catalogue import Interest, LiveCatalogue
from recommender_serving.engine.new_item_solution import solve_ranking_item, solve_rating_item
from recommender_serving.engine.user_space import user_space
from tests.factories import make_model

MODEL = make_model(n_users=40, n_items=12, events_per_user=6)
USERS = user_space(MODEL)


def interest(user: int, stars: float = np.nan, strength: float = 1.0) -> Interest:
    head = MODEL.rating
    vectors = MODEL.ranking.user_factors[user], head.user_factors[user]
    return Interest(strength, stars, *vectors, float(head.user_bias[user]))


def solved(catalogue: LiveCatalogue) -> LiveCatalogue:
    for _ in catalogue.solve():
        pass
    return catalogue


def test_items_are_solved_from_those_who_interacted_with_them() -> None:
    catalogue = LiveCatalogue(MODEL, USERS)
    first = catalogue.space
    catalogue.note("u1", {"x": interest(1, 4.0), "y": interest(1, strength=0.2)})
    catalogue.note("u2", {"x": interest(2, strength=0.5)})
    assert catalogue.space is first, "nothing changes before it is solved"
    new = solved(catalogue).space.new
    assert (new.ids, new.popularity.tolist()) == (("x", "y"), [2.0, 1.0])
    vectors = MODEL.ranking.user_factors[[1, 2]].astype(np.float64)
    expected = solve_ranking_item(MODEL.ranking, USERS, vectors, np.array([1.0, 0.5]))
    assert new.ranking_factors[0].tolist() == expected.tolist()
    head = MODEL.rating
    stars = solve_rating_item(head, head.user_factors[[1]], head.user_bias[[1]], np.array([4.0]))
    assert (new.rating_factors[0].tolist(), float(new.rating_bias[0])) == (
        stars[0].tolist(),
        pytest.approx(stars[1], abs=1e-6),
    )
    np.testing.assert_allclose(new.score_deviation[0], (MODEL.ranking.user_factors @ expected).std(), rtol=1e-4)
    assert catalogue.space.index("y") == 13


def test_what_a_user_takes_back_goes_and_what_nobody_is_interested_in_is_gone() -> None:
    catalogue = LiveCatalogue(MODEL, USERS)
    catalogue.note("u1", {"x": interest(1), "y": interest(1)})
    catalogue.note("u2", {"x": interest(2)})
    solved(catalogue)
    catalogue.note("u1", {"y": interest(1)})
    assert solved(catalogue).space.new.popularity.tolist() == [1.0, 1.0]
    catalogue.note("u1", {})
    assert solved(catalogue).space.new.ids == ("x",)
    catalogue.note("u2", {})
    assert solved(catalogue).space.new.ids == ()
    assert catalogue.space.popularity is MODEL.popularity


def test_a_space_is_replaced_only_if_something_changed() -> None:
    catalogue = solved(LiveCatalogue(MODEL, USERS))
    assert catalogue.generation == 0
    catalogue.note("u1", {"x": interest(1)})
    first = solved(catalogue).space
    assert catalogue.generation == 1
    assert solved(catalogue).space is first
    catalogue.note("stranger", {})
    assert solved(catalogue).generation == 1


def test_somebody_without_a_vector_counts_but_does_not_make_an_item_listable() -> None:
    catalogue = LiveCatalogue(MODEL, USERS)
    nobody = interest(0)._replace(ranking=None)
    catalogue.note("guest", {"x": nobody})
    assert solved(catalogue).space.new.ids == ()
    catalogue.note("u1", {"x": interest(1)})
    new = solved(catalogue).space.new
    assert (new.ids, new.popularity.tolist()) == (("x",), [2.0])


def test_items_users_and_work_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ITEMS", 5)
    monkeypatch.setattr(module, "_MOST_USERS", 3)
    monkeypatch.setattr(module, "_SOLVED_AT_ONCE", 2)
    catalogue = LiveCatalogue(MODEL, USERS)
    for user in range(10):
        catalogue.note(f"u{user}", {"x": interest(user)})
    solved(catalogue)
    assert catalogue.space.new.popularity.tolist() == [3.0], "the latest users"
    for item in range(9):
        catalogue.note(f"u{item}", {f"i{item}": interest(item)})
    assert sum(1 for _ in catalogue.solve()) == 2
    assert len(catalogue.space.new.ids) == 2, "the rest waits"
    solved(catalogue)
    assert set(solved(catalogue).space.new.ids) == {f"i{item}" for item in range(4, 9)}, "the latest items"
    catalogue.note("u0", {})
    assert len(solved(catalogue).space.new.ids) == 5, "a user whose item has gone may go too"
