from itertools import pairwise

import numpy as np
import pytest

from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.progress import silent
from recommender_assets.training.ranking import fit_ranking
from recommender_assets.training.rows import strength_rows
from tests.matrices import events_table, matrix_from, movielens_matrix, random_matrix

SETTINGS = (SvdSettings(factors=8, ranking_iterations=8), NmfSettings(factors=8, ranking_iterations=8))


def naive_loss(rows, head, item_regularization: float) -> float:
    scores = head.user_factors.astype(np.float64) @ head.item_factors.T
    observed = scores[rows.row_of_entry(), rows.column]
    return float(
        np.sum(rows.weight * (1 - observed) ** 2)
        + head.unobserved_weight * np.sum(scores**2)
        + head.regularization * np.sum(np.square(head.user_factors))
        + item_regularization * np.sum(np.square(head.item_factors))
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=["svd", "nmf"])
def test_the_told_loss_is_the_documented_one_and_never_rises(settings):
    rows = strength_rows(random_matrix().observations)

    head, curve = fit_ranking(rows, 25, settings, 0, silent)

    assert curve[-1] * len(rows.column) == pytest.approx(
        naive_loss(rows, head, settings.ranking_item_regularization), rel=1e-4
    )
    assert curve[-1] < curve[0]
    assert all(later <= former + 1e-5 for former, later in pairwise(curve))


def test_nmf_is_not_negative_and_svd_is_not_bound():
    rows = strength_rows(random_matrix().observations)
    svd, nmf = (fit_ranking(rows, 25, settings, 0, silent)[0] for settings in SETTINGS)

    assert min(nmf.user_factors.min(), nmf.item_factors.min()) >= 0
    assert nmf.non_negative
    assert svd.item_factors.min() < 0
    assert not svd.non_negative


@pytest.mark.parametrize("settings", SETTINGS, ids=["svd", "nmf"])
def test_same_seed_gives_the_same_bytes_and_another_seed_another_model(settings):
    rows = strength_rows(random_matrix().observations)
    first, again, other = (fit_ranking(rows, 25, settings, seed, silent)[0] for seed in (3, 3, 4))

    assert first.item_factors.tobytes() == again.item_factors.tobytes()
    assert first.item_factors.tobytes() != other.item_factors.tobytes()


def test_inexact_steps_come_close_to_exact_alternation():
    matrix = movielens_matrix()
    rows = strength_rows(matrix.observations)
    settings = SvdSettings(factors=16, ranking_iterations=12)

    _, curve = fit_ranking(rows, matrix.n_items, settings, 0, silent)

    assert curve[-1] == pytest.approx(exact_loss(rows, matrix.n_items, settings), rel=0.001)


def exact_loss(rows, n_items: int, settings: SvdSettings) -> float:
    """Loss per pair after the same number of exact half-steps from the same start."""
    k = settings.factors
    y = np.random.default_rng(0).standard_normal((n_items, k)).astype(np.float32) * np.float32(0.3 / np.sqrt(k))
    by_item = rows.transposed(n_items)
    user_penalty, item_penalty = settings.ranking_regularization, settings.ranking_item_regularization
    weight = settings.unobserved_weight

    def half_step(side, fixed, penalty):
        gram = weight * (fixed.T.astype(np.float64) @ fixed)
        return solve_rows(side, fixed, np.full(k, penalty), np.zeros(k), gram=gram).astype(np.float32)

    for _ in range(settings.ranking_iterations):
        x = half_step(rows, y, user_penalty)
        y = half_step(by_item, x, item_penalty)
    observed = np.einsum("nf,nf->n", x[rows.row_of_entry()], y[rows.column])
    total = np.sum(rows.weight * (1 - observed) ** 2) + weight * np.vdot(x.T @ x, y.T @ y)
    return float(total + user_penalty * np.square(x).sum() + item_penalty * np.square(y).sum()) / len(rows.column)


@pytest.mark.parametrize("settings", SETTINGS, ids=["svd", "nmf"])
def test_every_iteration_is_told_and_the_head_knows_its_penalties(settings):
    told = []
    rows = strength_rows(random_matrix().observations)

    head, curve = fit_ranking(rows, 25, settings, 0, lambda *arguments: told.append(arguments))

    assert told == [("ranking head", i, 8, {"ranking_loss": curve[i - 1]}) for i in range(1, 9)]
    assert (head.regularization, head.unobserved_weight) == (
        settings.ranking_regularization,
        settings.unobserved_weight,
    )
    assert not head.prior.any()


@pytest.mark.parametrize("settings", SETTINGS, ids=["svd", "nmf"])
def test_an_item_that_nobody_met_ends_near_zero(settings):
    rows = strength_rows(random_matrix().observations)

    head, _ = fit_ranking(rows, 26, settings, 0, silent)

    lengths = np.linalg.norm(head.item_factors, axis=1)
    assert lengths[25] < 0.2 * lengths[:25].min()


def test_views_alone_are_enough_to_order_items():
    groups = [(f"u{u}", f"i{i}", "view", None) for u in range(12) for i in range(8) if u % 2 == i % 2 and (u + i) % 5]
    matrix = matrix_from(events_table(groups))
    settings = SvdSettings(
        factors=2, ranking_iterations=20, ranking_regularization=0.1, ranking_item_regularization=0.1
    )

    head, _ = fit_ranking(strength_rows(matrix.observations), matrix.n_items, settings, 0, silent)

    scores = head.user_factors @ head.item_factors.T
    user, item = (np.array([int(name[1:]) for name in ids[:]]) for ids in (matrix.user_ids, matrix.item_ids))
    own = user[:, None] % 2 == item % 2
    assert scores[own].min() > scores[~own].max()
