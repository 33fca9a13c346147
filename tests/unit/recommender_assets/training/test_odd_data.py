"""Data that nobody hopes for: a defined result or a clear error, from the matrix to the evaluation."""

import math

import msgspec
import numpy as np
import pytest

from recommender_assets.evaluation.evaluation import evaluate
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.rating_sets import RatingFileError, rating_matrix
from recommender_assets.settings import NmfSettings, Settings, SvdSettings, TrainingSettings
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.training.trainer import TrainedModel, train
from recommender_serving.engine.config import EventWeights
from recommender_serving.engine.factor_model import FactorModel, read_model, write_model
from tests.matrices import default_settings, events_table, matrix_from, random_matrix

SMALL = default_settings(
    svd=SvdSettings(factors=5, epochs=5, ranking_iterations=3),
    nmf=NmfSettings(factors=4, iterations=4, ranking_iterations=3),
)
BOTH = pytest.mark.parametrize("algorithm", ["svd", "nmf"])
RATED = [(f"u{u}", f"i{i}", "rating", 1.0 + (u * i) % 5) for u in range(6) for i in range(5)]
ODD = {
    "one user": [row for row in RATED if row[0] == "u1"],
    "one item": [row for row in RATED if row[1] == "i1"],
    "all ratings equal": [(user, item, kind, 3.0) for user, item, kind, _ in RATED],
    "duplicate pairs": RATED * 3,
    "one rating among views": [("u", "i", "rating", 4.0)] + [(f"u{n}", f"i{n % 3}", "view", None) for n in range(9)],
    "a user of views alone": [*RATED, ("viewer", "i1", "view", None)],
    "fewer items than factors": [row for row in RATED if row[1] in {"i1", "i2"}],
    "ids that only look alike": [("7", "07", "rating", 4.0), ("07", "7", "rating", 2.0), ("007", "07", "rating", 3.0)],
}


def with_hold_out(share: float) -> Settings:
    return msgspec.structs.replace(SMALL, training=TrainingSettings(hold_out_share=share))


def all_finite(model: FactorModel) -> bool:
    heads = (model.rating.item_factors, model.rating.user_factors, model.rating.user_bias, model.rating.item_bias)
    return all(np.isfinite(array).all() for array in (*heads, model.ranking.item_factors, model.ranking.user_factors))


def figures(trained: TrainedModel, matrix: UserItemMatrix, share: float) -> dict[str, float]:
    return evaluate({"it": trained.model}, matrix, hold_out_mask(matrix, share))["it"].metrics


@BOTH
@pytest.mark.parametrize("rows", ODD.values(), ids=ODD.keys())
def test_odd_data_gives_a_finite_model_that_can_be_kept_and_measured(algorithm, rows, tmp_path):
    matrix = matrix_from(events_table(rows))
    settings = with_hold_out(1e-9)

    trained = train(algorithm, matrix, settings)
    write_model(tmp_path / "model", trained.model)

    assert all_finite(read_model(tmp_path / "model"))
    assert all(math.isnan(value) or math.isfinite(value) for value in figures(trained, matrix, 0.3).values())


@BOTH
def test_an_empty_hold_out_has_figures_of_nothing(algorithm):
    matrix = matrix_from(events_table(RATED))

    metrics = figures(train(algorithm, matrix, with_hold_out(1e-9)), matrix, 1e-9)

    assert metrics
    assert all(math.isnan(value) for name, value in metrics.items() if "coverage" not in name and "gini" not in name)


@BOTH
def test_a_user_whose_every_item_is_held_out_is_solved_all_the_same(algorithm):
    matrix = random_matrix(n_users=60, n_items=6)
    held_out = hold_out_mask(matrix, 0.5)
    kept = np.bincount(matrix.observations.user_of_row()[~held_out], minlength=matrix.n_users)
    assert (kept == 0).any()

    trained = train(algorithm, matrix, with_hold_out(0.5))

    assert all_finite(trained.model)
    assert math.isfinite(figures(trained, matrix, 0.5)["rmse"])


def test_ids_with_leading_zeros_are_other_ids():
    matrix = matrix_from(events_table(ODD["ids that only look alike"]))
    assert set(matrix.user_ids[:]) == {"7", "07", "007"}
    assert set(matrix.item_ids[:]) == {"7", "07"}


def csv(path, rows: str):
    path.write_text(f"user_id,item_id,rating\n{rows}")
    return path


def test_ids_of_a_file_keep_their_zeros(tmp_path):
    matrix = rating_matrix(csv(tmp_path / "r.csv", "007,01,3\n7,1,4\n"), EventWeights())
    assert set(matrix.user_ids[:]) == {"007", "7"}
    assert set(matrix.item_ids[:]) == {"01", "1"}


@pytest.mark.parametrize(("value", "named"), [("inf", "row 2"), ("-inf", "row 2"), ("nan", "without rating")])
def test_a_rating_that_is_no_number_is_named(tmp_path, value, named):
    with pytest.raises(RatingFileError, match=rf"r\.csv.*{named}"):
        rating_matrix(csv(tmp_path / "r.csv", f"a,x,3\nb,y,{value}\n"), EventWeights())


@BOTH
@pytest.mark.parametrize(
    ("low", "high"), [(1, 10), (-10, 10), (0, 1), (1, 20_000)], ids=["1-10", "-10-10", "likes", "play counts"]
)
def test_any_scale_of_ratings_is_learnt_from(tmp_path, algorithm, low, high):
    random = np.random.default_rng(0)
    rows = [
        f"u{user},i{item},{round(low + (high - low) * ((user * item) % 7) / 6, 3)}\n"
        for user in range(60)
        for item in range(25)
        if random.random() < 0.6
    ]
    matrix = rating_matrix(csv(tmp_path / "r.csv", "".join(rows)), EventWeights())
    assert (matrix.scale.min, matrix.scale.max) == (low, high)

    trained = train(algorithm, matrix, with_hold_out(0.2))

    metrics = figures(trained, matrix, 0.2)
    assert all_finite(trained.model)
    assert metrics["rmse"] < 0.6 * (high - low)
    assert 0 < metrics["catalogue_ndcg_at_10"] <= 1


@BOTH
@pytest.mark.parametrize("shape", [(2_400, 10), (19, 1_760)], ids=["few items", "few users"])
def test_any_shape_is_learnt_from(algorithm, shape):
    matrix = random_matrix(n_users=shape[0], n_items=shape[1], density=0.2)

    trained = train(algorithm, matrix, SMALL)

    assert all_finite(trained.model)
    assert math.isfinite(figures(trained, matrix, 0.1)["rmse"])


@BOTH
@pytest.mark.parametrize(("factor", "shift"), [(2.0, 0.0), (1_000.0, 0.0), (5.0, -15.0)])
def test_the_scale_of_the_ratings_changes_what_is_predicted_but_not_what_is_learnt(tmp_path, algorithm, factor, shift):
    """Ratings 1..5 spread over another scale; the heads then predict the same stars, spread alike."""
    random = np.random.default_rng(1)
    rows = [(u, i, 1 + (u * i) % 5) for u in range(40) for i in range(20) if random.random() < 0.7]
    stars, scaled = (
        train(
            algorithm,
            rating_matrix(
                csv(tmp_path / f"{a}{b}.csv", "".join(f"u{u},i{i},{a * r + b}\n" for u, i, r in rows)), EventWeights()
            ),
            with_hold_out(1e-9),
        ).model.rating
        for a, b in ((1.0, -1.0) if shift else (1.0, 0.0), (factor, shift))
    )

    def predicted(head):
        product = head.user_factors @ head.item_factors.T
        return head.global_mean + head.user_bias[:, None] + head.item_bias + product

    # Scales inside 0..5 are taken as stars; any other is spread over four of them.
    lowest, highest = factor + shift, 5 * factor + shift
    assert np.abs(predicted(scaled) - (factor * (predicted(stars) + (1.0 if shift else 0.0)) + shift)).max() < 0.02 * (
        highest - lowest
    )
