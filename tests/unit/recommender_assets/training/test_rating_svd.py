import numpy as np
import pytest

from recommender_assets.evaluation.splits import random_rows
from recommender_assets.settings import SvdSettings
from recommender_assets.training.progress import silent
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import rating_rows
from tests.matrices import events_table, matrix_from, random_matrix

SETTINGS = SvdSettings(factors=6, epochs=60)


def test_learns_a_structure_that_item_means_cannot_express():
    matrix = random_matrix(n_users=120, n_items=100)
    held_out = random_rows(len(matrix.observations.item), 0.1, seed=0)
    test = rating_rows(matrix.observations.select(held_out))

    head, curve = fit_rating_svd(rating_rows(matrix.observations.select(~held_out)), 100, SETTINGS, 0, silent)

    user, item = test.row_of_entry(), test.column
    stars = head.global_mean + head.user_bias[user] + head.item_bias[item]
    with_factors = stars + np.einsum("nf,nf->n", head.user_factors[user], head.item_factors[item])
    assert np.square(test.target - with_factors).mean() < 0.5 * np.square(test.target - stars).mean()
    assert curve[-1] < 0.7 * curve[0]


def test_same_seed_gives_the_same_bytes_and_another_seed_another_model():
    rows = rating_rows(random_matrix().observations)
    first, again, other = (fit_rating_svd(rows, 25, SETTINGS, seed, silent)[0] for seed in (3, 3, 4))

    assert first.item_factors.tobytes() == again.item_factors.tobytes()
    assert first.user_bias.tobytes() == again.user_bias.tobytes()
    assert first.item_factors.tobytes() != other.item_factors.tobytes()


def test_every_epoch_is_told():
    told = []

    _, curve = fit_rating_svd(
        rating_rows(random_matrix().observations),
        25,
        SvdSettings(factors=2, epochs=3),
        0,
        lambda *arguments: told.append(arguments),
    )

    assert told == [("rating head", epoch, 3, {"rmse": curve[epoch - 1]}) for epoch in (1, 2, 3)]


def test_a_learning_rate_that_diverges_is_named():
    with pytest.raises(FloatingPointError, match=r"learning_rate 5\.0"), np.errstate(all="ignore"):
        fit_rating_svd(
            rating_rows(random_matrix().observations), 25, SvdSettings(factors=4, learning_rate=5.0), 0, silent
        )


def test_an_item_without_ratings_has_no_bias():
    head, _ = fit_rating_svd(rating_rows(random_matrix(n_items=25).observations), 26, SETTINGS, 0, silent)

    assert head.item_bias[25] == 0
    assert head.item_bias[:25].all()


def naive_epochs(rows, n_items: int, settings: SvdSettings, seed: int):
    """The updates as published, one rating after the other, in float64."""
    random = np.random.default_rng(seed)
    p, q = (
        (random.standard_normal((n, settings.factors), dtype=np.float32) * settings.initial_deviation).astype(float)
        for n in (rows.n_rows, n_items)
    )
    of_user, of_item = np.zeros(rows.n_rows), np.zeros(n_items)
    mean, rate, users, curve = rows.target.mean(), settings.learning_rate, rows.row_of_entry(), []
    for _ in range(settings.epochs):
        errors = []
        for entry in random.permutation(len(rows.target)):
            u, i = users[entry], rows.column[entry]
            error = rows.target[entry] - mean - of_user[u] - of_item[i] - p[u] @ q[i]
            errors.append(error)
            of_user[u] += rate * (error - settings.bias_regularization * of_user[u])
            of_item[i] += rate * (error - settings.bias_regularization * of_item[i])
            p[u], q[i] = (
                p[u] + rate * (error * q[i] - settings.regularization * p[u]),
                q[i] + rate * (error * p[u] - settings.regularization * q[i]),
            )
        curve.append(float(np.sqrt(np.mean(np.square(errors)))))
        rate *= settings.learning_rate_decay
    return p, q, of_user, of_item, curve


@pytest.mark.parametrize("seed", [0, 7])
def test_equals_the_published_updates_one_by_one(seed):
    rows = rating_rows(random_matrix(n_users=6, n_items=8).observations)
    settings = SvdSettings(factors=3, epochs=4, learning_rate=0.05, learning_rate_decay=0.5, initial_deviation=0.3)

    head, curve = fit_rating_svd(rows, 8, settings, seed, silent)

    p, q, of_user, of_item, errors = naive_epochs(rows, 8, settings, seed)
    for found, expected in zip(
        (head.user_factors, head.item_factors, head.user_bias, head.item_bias), (p, q, of_user, of_item), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert curve == pytest.approx(errors, rel=1e-5)
    assert head.global_mean == pytest.approx(rows.target.mean())


def test_training_error_falls_epoch_by_epoch():
    _, curve = fit_rating_svd(rating_rows(random_matrix().observations), 25, SETTINGS, 0, silent)

    assert len(curve) == SETTINGS.epochs
    assert (np.diff(curve[::10]) < 0).all()


def test_equal_ratings_are_predicted_as_they_are():
    rows = rating_rows(
        matrix_from(events_table([(f"u{u}", f"i{u % 2}", "rating", 4.5) for u in range(6)])).observations
    )

    head, curve = fit_rating_svd(rows, 2, SvdSettings(factors=2, epochs=5), 0, silent)

    assert head.global_mean == 4.5
    assert curve[-1] < 0.01
    assert np.abs(head.item_bias).max() < 0.01


def test_the_service_gets_the_penalties_of_the_user_step():
    settings = SvdSettings(
        factors=3, epochs=1, regularization=0.7, user_regularization=6.0, user_bias_regularization=2.0
    )

    head, _ = fit_rating_svd(rating_rows(random_matrix().observations), 25, settings, 0, silent)

    assert (head.regularization, head.bias_regularization) == (6.0, 2.0)
    assert (head.has_user_bias, head.non_negative) == (True, False)
    assert head.prior.tolist() == [0.0, 0.0, 0.0]


def test_a_diverging_epoch_is_named_and_not_reported_as_progress():
    told = []

    with (
        pytest.raises(FloatingPointError, match=r"models\.svd: diverged in epoch \d+ .*lower it"),
        np.errstate(all="ignore"),
    ):
        fit_rating_svd(
            rating_rows(random_matrix().observations),
            25,
            SvdSettings(factors=4, learning_rate=5.0),
            0,
            lambda *arguments: told.append(arguments),
        )

    assert all(np.isfinite(numbers["rmse"]) for *_, numbers in told)
