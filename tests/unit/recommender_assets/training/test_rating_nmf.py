import numpy as np
import pytest

from recommender_assets.evaluation.splits import random_rows
from recommender_assets.settings import NmfSettings
from recommender_assets.training.progress import silent
from recommender_assets.training.rating_nmf import fit_rating_nmf
from recommender_assets.training.rows import rating_rows
from tests.matrices import events_table, matrix_from, random_matrix

SETTINGS = NmfSettings(factors=6, regularization=1.0, user_regularization=1.0, iterations=15)


def test_factors_are_not_negative_and_learn_a_structure():
    matrix = random_matrix(n_users=120, n_items=100)
    held_out = random_rows(len(matrix.observations.item), 0.1, seed=0)
    training, test = (rating_rows(matrix.observations.select(m)) for m in (~held_out, held_out))

    head, curves = fit_rating_nmf(training, 100, SETTINGS, 0, silent)

    assert min(head.user_factors.min(), head.item_factors.min(), head.prior.min()) >= 0
    predicted = np.einsum("nf,nf->n", head.user_factors[test.row_of_entry()], head.item_factors[test.column])
    item_mean = (np.bincount(training.column, training.target, 100) / np.bincount(training.column, minlength=100))[
        test.column
    ]
    assert np.square(test.target - predicted).mean() < 0.6 * np.square(test.target - item_mean).mean()
    assert curves["rating_rmse"][-1] < curves["rating_rmse"][0]


def test_same_seed_gives_the_same_bytes_and_another_seed_another_model():
    rows = rating_rows(random_matrix().observations)
    first, again, other = (fit_rating_nmf(rows, 25, SETTINGS, seed, silent)[0] for seed in (3, 3, 4))

    assert first.item_factors.tobytes() == again.item_factors.tobytes()
    assert first.item_factors.tobytes() != other.item_factors.tobytes()


def test_an_item_without_ratings_is_the_mean_item():
    head, _ = fit_rating_nmf(rating_rows(random_matrix(n_items=25).observations), 26, SETTINGS, 0, silent)

    np.testing.assert_allclose(head.item_factors[25], head.item_factors[:25].mean(axis=0), rtol=1e-5)


def test_alpha_draws_towards_zero_and_regularization_towards_the_mean_user():
    rows = rating_rows(random_matrix().observations)

    drawn, _ = fit_rating_nmf(rows, 25, NmfSettings(factors=4, alpha=30.0, regularization=10.0), 0, silent)
    plain, _ = fit_rating_nmf(rows, 25, NmfSettings(factors=4, alpha=0.0, regularization=10.0), 0, silent)

    assert np.linalg.norm(drawn.user_factors) < 0.9 * np.linalg.norm(plain.user_factors)
    assert plain.regularization == 10.0
    np.testing.assert_allclose(plain.prior, plain.user_factors.mean(axis=0), rtol=1e-5)
    assert drawn.regularization == pytest.approx(40.0)
    np.testing.assert_allclose(drawn.prior, 0.25 * drawn.user_factors.mean(axis=0), rtol=1e-5)


def test_error_falls_and_every_iteration_is_told():
    told = []

    _, curves = fit_rating_nmf(
        rating_rows(random_matrix().observations), 25, SETTINGS, 0, lambda *arguments: told.append(arguments)
    )

    assert told == [("rating head", i, 15, {"rating_rmse": curves["rating_rmse"][i - 1]}) for i in range(1, 16)]
    assert (np.diff(curves["rating_rmse"]) < 1e-3).all()


def test_the_last_error_is_that_of_the_factors():
    rows = rating_rows(random_matrix().observations)

    head, curves = fit_rating_nmf(rows, 25, SETTINGS, 0, silent)

    error = rows.target - np.einsum("nf,nf->n", head.user_factors[rows.row_of_entry()], head.item_factors[rows.column])
    assert curves["rating_rmse"][-1] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)


def test_one_rating_is_learnt():
    rows = rating_rows(matrix_from(events_table([("u", "i", "rating", 4.0)])).observations)

    head, curves = fit_rating_nmf(rows, 1, NmfSettings(factors=3, iterations=30), 0, silent)

    assert float(head.user_factors[0] @ head.item_factors[0]) == pytest.approx(4.0, abs=0.05)
    assert len(curves["rating_rmse"]) == 30


def test_users_without_ratings_follow_the_mean_user_and_do_not_move_it():
    rows = [(f"u{u}", f"i{i}", "rating", 0.5 + (u * i) % 10 / 2) for u in range(6) for i in range(u + 1)]
    rows += [(f"v{v}", "i0", "view", None) for v in range(10)]
    ratings = rating_rows(matrix_from(events_table(rows)).observations)
    settings = NmfSettings(factors=3, iterations=1, alpha=6.0, regularization=6.0, user_regularization=2.0)

    head, _ = fit_rating_nmf(ratings, 6, settings, 0, silent)

    level = np.sqrt(ratings.target.mean() / 3)
    start = level * np.maximum(0.0, 1.0 + np.random.default_rng(0).standard_normal((16, 3)))
    counts = np.diff(ratings.indptr)
    mean_user = (counts[:, None] * start).sum(axis=0) / counts.sum()
    np.testing.assert_allclose(head.user_factors[6:], np.tile(0.5 * mean_user, (10, 1)), rtol=1e-5)
    np.testing.assert_allclose(head.prior, 0.25 * head.user_factors[:6].mean(axis=0), rtol=1e-5)
