from typing import Any

import numpy as np
import pytest

from recommender_assets.experiments.click_simulator import ClickModel
from recommender_assets.experiments.simulation.calendar import Visit
from recommender_assets.experiments.simulation.pilot import pilot_moments
from recommender_assets.experiments.simulation.population import ModelUser, Population
from recommender_assets.experiments.simulation.visitors import Crowd, ServedVisit

CLICKS_ALL = ClickModel(position_bias=0.0, liked=1.0, known=1.0, unknown=1.0)
CLICKS_NOTHING = ClickModel(liked=0.0, known=0.0, unknown=0.0)
POPULATION = Population((ModelUser(known={"a": 4.5, "b": 1.0}, held_out={"x": 5.0}),))
ANSWER = {"recommendations": [{"item_id": "x"}, {"item_id": "y"}], "ranking_id": "r1", "accepted": 1, "rejected": 0}


def crowd(clicks: ClickModel, **changes: Any) -> Crowd:
    return Crowd(**{"names": ["v0", "v1"], "population": POPULATION, "seed": 7, "clicks": clicks, **changes})


def served(http_server: Any, crowd: Crowd, *visits: Visit) -> list[ServedVisit]:
    http_server.answers = [(200, ANSWER)]
    return [one for chunk in crowd.visit(http_server.address, 0, visits) for one in chunk]


def test_a_first_visit_tells_looks_and_reacts(http_server: Any) -> None:
    found = served(http_server, crowd(CLICKS_ALL), Visit(0, True))
    assert found == [ServedVisit("v0", (5.0, None))]
    told, asked, clicked = http_server.asked
    assert {(event["user_id"], event["item_id"], event["rating"]) for event in told[2]} == {
        ("v0", "a", 4.5),
        ("v0", "b", 1.0),
    }
    assert asked[:2] == ("GET", "/recommendations/user/v0?num_recommendations=10")
    rated, looked = clicked[2]
    assert (rated["item_id"], rated["rating"], rated["ranking_id"]) == ("x", 5.0, "r1")
    assert (looked["item_id"], looked["event_type"], looked["ranking_id"]) == ("y", "click", "r1")


def test_who_comes_back_tells_nothing_and_may_click_nothing(http_server: Any) -> None:
    found = served(http_server, crowd(CLICKS_NOTHING), Visit(1, False))
    assert found == [ServedVisit("v1", ())]
    assert [method for method, *_ in http_server.asked] == ["GET"]


def test_a_crowd_outside_experiments_asks_for_its_algorithm(http_server: Any) -> None:
    served(http_server, crowd(CLICKS_NOTHING, algorithm="nmf"), Visit(0, False))
    assert http_server.asked[0][1].endswith("&algorithm=nmf")


def test_a_visitor_is_the_same_at_every_visit_and_others_are_not() -> None:
    users = tuple(ModelUser(known={f"k{n}": 4.0}, held_out={f"h{n}": 5.0}) for n in range(50))
    many = crowd(CLICKS_ALL, population=Population(users), names=[f"v{n}" for n in range(40)])
    assert [many.visitor(n) for n in range(40)] == [many.visitor(n) for n in range(40)]
    assert len({tuple(many.visitor(n).kept) for n in range(40)}) > 15


def test_every_visit_of_a_large_day_is_carried_out(http_server: Any) -> None:
    names = [f"v{n}" for n in range(130)]
    found = served(http_server, crowd(CLICKS_NOTHING, names=names), *(Visit(n, False) for n in range(130)))
    assert [one.user_id for one in found] == names


def test_the_pilot_counts_lists_clicks_and_ratings_by_user() -> None:
    visits = [ServedVisit("a", (5.0, None)), ServedVisit("a", ()), ServedVisit("b", (3.0,)), ServedVisit("c", ())]
    clicks = pilot_moments(visits, "ctr")
    assert (clicks.users, clicks.rate) == (3, pytest.approx(2 / 4))
    assert pilot_moments(visits, "conversion").rate == pytest.approx(2 / 3)
    assert pilot_moments(visits, "mean_rating").rate == pytest.approx(4.0)
    np.testing.assert_allclose(clicks.mean, [2 / 3, 4 / 3])


def test_a_pilot_in_which_nobody_rates_has_no_mean_rating() -> None:
    with pytest.raises(ValueError, match="metric is not defined"):
        pilot_moments([ServedVisit("a", ()), ServedVisit("b", (None,))], "mean_rating")
