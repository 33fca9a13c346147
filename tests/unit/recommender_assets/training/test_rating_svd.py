import msgspec
import numpy as np
import pytest

from recommender_assets.evaluation.splits import random_rows
from recommender_assets.settings import SvdSettings
from recommender_assets.training.implicit_term import implicit_terms
from recommender_assets.training.progress import silent
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import rating_rows
from tests.matrices import events_table, matrix_from, random_matrix

SETTINGS = SvdSettings(factors=6, epochs=60)


def test_learns_a_structure_that_item_means_cannot_express():
    matrix = random_matrix(n_users=120, n_items=100)
    held_out = random_rows(len(matrix.observations.item), 0.1, seed=0)
    test = rating_rows(matrix.observations.select(held_out))

    head, curves = fit_rating_svd(matrix.observations.select(~held_out), 100, SETTINGS, 0, silent)

    user, item = test.row_of_entry(), test.column
    stars = head.global_mean + head.user_bias[user] + head.item_bias[item]
    with_factors = stars + np.einsum("nf,nf->n", head.user_factors[user], head.item_factors[item])
    assert np.square(test.target - with_factors).mean() < 0.5 * np.square(test.target - stars).mean()
    assert curves["rating_rmse"][-1] < 0.7 * curves["rating_rmse"][0]


def test_same_seed_gives_the_same_bytes_and_another_seed_another_model():
    observations = random_matrix().observations
    first, again, other = (fit_rating_svd(observations, 25, SETTINGS, seed, silent)[0] for seed in (3, 3, 4))

    assert first.item_factors.tobytes() == again.item_factors.tobytes()
    assert first.user_bias.tobytes() == again.user_bias.tobytes()
    assert first.item_factors.tobytes() != other.item_factors.tobytes()


def test_every_epoch_is_told():
    told = []

    _, curves = fit_rating_svd(
        random_matrix().observations,
        25,
        SvdSettings(factors=2, epochs=3),
        0,
        lambda *arguments: told.append(arguments),
    )

    assert told == [("rating head", epoch, 3, {"rating_rmse": curves["rating_rmse"][epoch - 1]}) for epoch in (1, 2, 3)]


def test_a_learning_rate_that_diverges_is_named():
    with pytest.raises(FloatingPointError, match=r"learning_rate 5\.0"), np.errstate(all="ignore"):
        fit_rating_svd(random_matrix().observations, 25, SvdSettings(factors=4, learning_rate=5.0), 0, silent)


def test_an_item_without_ratings_has_no_bias():
    head, _ = fit_rating_svd(random_matrix(n_items=25).observations, 26, SETTINGS, 0, silent)

    assert head.item_bias[25] == 0
    assert head.item_bias[:25].all()


def naive_epochs(observations, n_items: int, settings: SvdSettings, seed: int):
    """The updates as published, one rating after the other, user by user, in float64."""
    random = np.random.default_rng(seed)
    p, q = (
        (random.standard_normal((n, settings.factors), dtype=np.float32) * settings.initial_deviation).astype(float)
        for n in (observations.n_users, n_items)
    )
    y = np.zeros((n_items, settings.factors))
    of_user, of_item = np.zeros(observations.n_users), np.zeros(n_items)
    mean, rate, curve = np.nanmean(observations.rating), settings.learning_rate, []
    for _ in range(settings.epochs):
        errors = []
        for u in random.permutation(observations.n_users):
            items, ratings = (column[observations.rows_of(u)] for column in (observations.item, observations.rating))
            implicit = y[items].sum(axis=0) / np.sqrt(max(len(items), 1)) * settings.implicit_term
            slope = np.zeros(settings.factors)
            for i, rating in zip(items[~np.isnan(ratings)], ratings[~np.isnan(ratings)], strict=True):
                error = rating - mean - of_user[u] - of_item[i] - (p[u] + implicit) @ q[i]
                errors.append(error)
                slope += error * q[i]
                of_user[u] += rate * (error - settings.bias_regularization * of_user[u])
                of_item[i] += rate * (error - settings.bias_regularization * of_item[i])
                p[u], q[i] = (
                    p[u] + rate * (error * q[i] - settings.regularization * p[u]),
                    q[i] + rate * (error * (p[u] + implicit) - settings.regularization * q[i]),
                )
            if not np.isnan(ratings).all():
                y[items] += rate * (slope / np.sqrt(len(items)) - settings.implicit_regularization * y[items])
        curve.append(float(np.sqrt(np.mean(np.square(errors)))))
        rate *= settings.learning_rate_decay
    return p, q, y, of_user, of_item, curve


@pytest.mark.parametrize("implicit_term", [False, True])
@pytest.mark.parametrize("seed", [0, 7])
def test_equals_the_published_updates_one_by_one(seed, implicit_term):
    observations = random_matrix(n_users=6, n_items=8).observations
    assert np.isnan(observations.rating).any()
    settings = SvdSettings(
        factors=3,
        epochs=4,
        learning_rate=0.05,
        learning_rate_decay=0.5,
        initial_deviation=0.3,
        implicit_term=implicit_term,
    )

    head, curves = fit_rating_svd(observations, 8, settings, seed, silent)

    p, q, y, of_user, of_item, errors = naive_epochs(observations, 8, settings, seed)
    for found, expected in ((head.item_factors, q), (head.user_bias, of_user), (head.item_bias, of_item)):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    if implicit_term:
        np.testing.assert_allclose(head.implicit_factors, y, atol=1e-5)
        np.testing.assert_allclose(head.user_factors, p + implicit_terms(y.astype(np.float32), observations), atol=1e-5)
    else:
        assert head.implicit_factors.shape == (0, 3)
        np.testing.assert_allclose(head.user_factors, p, atol=1e-5)
    assert curves["rating_rmse"] == pytest.approx(errors, rel=1e-5)
    assert head.global_mean == pytest.approx(np.nanmean(observations.rating))


def test_training_error_falls_epoch_by_epoch():
    _, curves = fit_rating_svd(random_matrix().observations, 25, SETTINGS, 0, silent)

    curve = curves["rating_rmse"]
    assert len(curve) == SETTINGS.epochs
    assert (np.diff(curve[::10]) < 0).all()


def test_equal_ratings_are_predicted_as_they_are():
    events = events_table([(f"u{u}", f"i{u % 2}", "rating", 4.5) for u in range(6)])

    head, curves = fit_rating_svd(matrix_from(events).observations, 2, SvdSettings(factors=2, epochs=5), 0, silent)

    assert head.global_mean == 4.5
    assert curves["rating_rmse"][-1] < 0.01
    assert np.abs(head.item_bias).max() < 0.01


def test_the_service_gets_the_penalties_of_the_user_step():
    settings = SvdSettings(
        factors=3, epochs=1, regularization=0.7, user_regularization=6.0, user_bias_regularization=2.0
    )

    head, _ = fit_rating_svd(random_matrix().observations, 25, settings, 0, silent)

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
            random_matrix().observations,
            25,
            SvdSettings(factors=4, learning_rate=5.0),
            0,
            lambda *arguments: told.append(arguments),
        )

    assert all(np.isfinite(numbers["rating_rmse"]) for *_, numbers in told)


def test_epochs_stop_where_the_validation_error_is_lowest():
    observations = random_matrix(n_users=60, n_items=40, density=0.4).observations
    settings = SvdSettings(factors=10, epochs=150, learning_rate=0.05, learning_rate_decay=1.0, regularization=0.001)
    told = []

    _, curves = fit_rating_svd(
        observations,
        40,
        msgspec.structs.replace(settings, validation_share=0.2),
        0,
        lambda stage, *rest: told.append((stage, *rest)),
    )

    validation = curves["validation_rmse"]
    best = int(np.argmin(validation)) + 1
    assert len(curves["rating_rmse"]) == best < settings.epochs
    assert len(validation) == best + 3
    assert [entry[0] for entry in told].count("rating head, epochs to train") == len(validation)
    assert told[0][3]["validation_rmse"] == validation[0]
    plain, _ = fit_rating_svd(observations, 40, msgspec.structs.replace(settings, epochs=best), 0, silent)
    counted, _ = fit_rating_svd(observations, 40, msgspec.structs.replace(settings, validation_share=0.2), 0, silent)
    assert counted.item_factors.tobytes() == plain.item_factors.tobytes()


def test_the_validation_error_is_that_of_ratings_outside_the_training():
    observations = random_matrix(n_users=40, n_items=30).observations
    settings = SvdSettings(factors=3, epochs=1, validation_share=0.5, implicit_term=True)

    _, curves = fit_rating_svd(observations, 30, settings, 0, silent)

    rated = ~np.isnan(observations.rating)
    chosen = rated & (np.random.default_rng([0, 1]).random(len(rated)) < 0.5)
    trained, _ = fit_rating_svd(
        observations.select(~chosen), 30, msgspec.structs.replace(settings, validation_share=0.0), 0, silent
    )
    validation = observations.select(chosen)
    user, item = validation.user_of_row(), validation.item
    stars = trained.global_mean + trained.user_bias[user] + trained.item_bias[item]
    stars += np.einsum("nf,nf->n", trained.user_factors[user], trained.item_factors[item])
    expected = np.sqrt(np.mean(np.square(stars - validation.rating)))
    assert curves["validation_rmse"] == pytest.approx([expected], rel=1e-5)


def test_too_few_ratings_to_set_any_apart_train_for_all_epochs():
    events = events_table([("u", "a", "rating", 4.0)])
    settings = SvdSettings(factors=2, epochs=3, validation_share=0.5)

    _, curves = fit_rating_svd(matrix_from(events).observations, 1, settings, 0, silent)

    assert curves["validation_rmse"] == []
    assert len(curves["rating_rmse"]) == 3


def test_what_was_only_looked_at_counts_in_the_implicit_term():
    rows = [(f"u{u}", f"i{i}", "rating", 1.0 + 4 * (u % 2)) for u in range(20) for i in range(6)]
    viewed = [(f"u{u}", f"i{6 + u % 2}", "view", None) for u in range(20)]
    observations = matrix_from(events_table(rows + viewed)).observations
    settings = SvdSettings(factors=3, epochs=30, implicit_term=True, learning_rate=0.05, initial_deviation=0.1)

    head, _ = fit_rating_svd(observations, 8, settings, 0, silent)

    assert np.abs(head.implicit_factors[6:]).max() > 0.01
    assert not head.item_bias[6:].any()


def test_a_progress_that_raises_stops_the_training():
    told = []

    def stop(stage, step, *rest):
        told.append(step)
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_rating_svd(random_matrix().observations, 25, SETTINGS, 0, stop)

    assert told == [1, 2]
