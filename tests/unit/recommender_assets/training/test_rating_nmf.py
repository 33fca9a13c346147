import numpy as np
import pytest

from recommender_assets.evaluation.splits import random_rows
from recommender_assets.settings import NmfSettings
from recommender_assets.training.progress import silent
from recommender_assets.training.rating_nmf import fit_rating_nmf
from recommender_assets.training.rows import rating_rows
from tests.matrices import random_matrix

SETTINGS = NmfSettings(factors=6, regularization=1.0, user_regularization=1.0, iterations=15)


def test_factors_are_not_negative_and_learn_a_structure():
    matrix = random_matrix(n_users=120, n_items=100)
    held_out = random_rows(len(matrix.observations.item), 0.1, seed=0)
    training, test = (rating_rows(matrix.observations.select(m)) for m in (~held_out, held_out))

    head, curve = fit_rating_nmf(training, 100, SETTINGS, 0, silent)

    assert min(head.user_factors.min(), head.item_factors.min(), head.prior.min()) >= 0
    predicted = np.einsum("nf,nf->n", head.user_factors[test.row_of_entry()], head.item_factors[test.column])
    item_mean = (np.bincount(training.column, training.target, 100) / np.bincount(training.column, minlength=100))[
        test.column
    ]
    assert np.square(test.target - predicted).mean() < 0.6 * np.square(test.target - item_mean).mean()
    assert curve[-1] < curve[0]


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
