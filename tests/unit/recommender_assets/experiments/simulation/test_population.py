import numpy as np
import pytest

from recommender_assets.experiments.simulation.population import population_of
from recommender_assets.training.hold_out import hold_out_mask
from tests.matrices import events_table, matrix_from, random_matrix


def test_users_are_divided_by_the_models_own_hold_out() -> None:
    matrix = random_matrix(n_items=60, density=0.8)
    population = population_of(matrix, 0.3)
    assert len(population.users) == matrix.n_users
    mask = hold_out_mask(matrix, 0.3)
    rated = ~np.isnan(matrix.observations.rating)
    assert sum(len(user.held_out) for user in population.users) == (mask & rated).sum()
    assert sum(len(user.known) for user in population.users) == (~mask & rated).sum()
    assert all(not user.known.keys() & user.held_out.keys() for user in population.users)


def test_ratings_belong_to_their_user_and_views_are_no_opinion() -> None:
    rows = [("a", "x", "rating", 5.0), ("a", "y", "rating", 1.0), ("a", "z", "view", None), ("b", "x", "rating", 2.0)]
    matrix = matrix_from(events_table(rows))
    share = next(share for share in np.linspace(0.05, 0.95, 200) if _held_out(matrix, share) == 1)
    (user,) = population_of(matrix, share).users
    assert {**user.known, **user.held_out} == {"x": 5.0, "y": 1.0}


def _held_out(matrix: object, share: float) -> int:
    try:
        return len(population_of(matrix, share).users)  # type: ignore[arg-type]
    except ValueError:
        return 0


def test_visitors_are_independent_draws() -> None:
    population = population_of(random_matrix(density=0.8), 0.3)
    generator = np.random.default_rng(0)
    kept = [frozenset(population.draw(generator).kept.items()) for _ in range(2_000)]
    counts = [kept.count(frozenset(user.held_out.items())) for user in population.users]
    assert min(counts) > 0.5 * 2_000 / len(population.users)
    assert str(len(population.users)) in population.description


def test_without_a_hold_out_there_is_nobody_to_simulate() -> None:
    with pytest.raises(ValueError, match="nobody to simulate"):
        population_of(random_matrix(), 1e-9)
