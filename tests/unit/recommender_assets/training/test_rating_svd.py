import numpy as np
import pytest

from recommender_assets.evaluation.splits import random_rows
from recommender_assets.settings import SvdSettings
from recommender_assets.training.progress import silent
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import rating_rows
from tests.matrices import random_matrix

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
