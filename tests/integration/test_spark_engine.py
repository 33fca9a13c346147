"""Training by MLlib: the same model file from executors, on one machine and on a Spark of several processes."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from recommender_assets.settings import NmfSettings, Settings, SvdSettings
from recommender_assets.training.engines import engine
from recommender_assets.training.heads import TooFewRatingsError, fit_heads, with_users_of
from recommender_assets.training.spark_engine import SparkEngine
from recommender_assets.training.trainer import train
from recommender_serving.engine.factor_model import read_model, write_model
from recommender_serving.engine.fold_in import fold_in_ranking, fold_in_rating
from tests.matrices import default_settings, events_table, matrix_from, random_matrix
from tests.spark_cluster import run_on_cluster

HYPER_PARAMETERS = {
    "svd": SvdSettings(factors=4, regularization=0.02, ranking_iterations=12),
    "nmf": NmfSettings(factors=4, regularization=0.5, iterations=12, ranking_iterations=4),
}
SMALL = default_settings(svd=HYPER_PARAMETERS["svd"], nmf=HYPER_PARAMETERS["nmf"])
BOTH = pytest.mark.parametrize("algorithm", ["svd", "nmf"])
TRAIN = """
from recommender_assets.settings import load_settings
from recommender_assets.training.engines import engine
from recommender_assets.training.trainer import train
from recommender_serving.engine.factor_model import write_model
from tests.matrices import movielens_matrix

settings = load_settings()
fit = engine(settings)
trained = train("svd", movielens_matrix(), settings, fit=fit)
write_model(settings.root / "model", trained.model)
print(fit.spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1, trained.curves["rating_rmse"][-1])
fit.spark.stop()
"""


@pytest.fixture
def spark_engine(spark: SparkSession, tmp_path: Path) -> SparkEngine:
    return SparkEngine(spark, tmp_path / "checkpoints")


@BOTH
def test_the_same_model_file_whose_users_the_service_finds_again(algorithm, spark_engine, tmp_path):
    matrix = random_matrix()
    trained = train(algorithm, matrix, SMALL, fit=spark_engine)
    write_model(tmp_path / "model", trained.model)
    model = read_model(tmp_path / "model")

    for user in range(3):
        seen, item = slice(*matrix.observations.indptr[user : user + 2]), matrix.observations.item
        factors, bias = fold_in_rating(model.rating, item[seen], matrix.observations.rating[seen])
        np.testing.assert_allclose(factors, model.rating.user_factors[user], atol=1e-5)
        assert bias == pytest.approx(model.rating.user_bias[user], abs=1e-5)
        ranking = fold_in_ranking(model.ranking, item[seen], matrix.observations.strength[seen])
        np.testing.assert_allclose(ranking, model.ranking.user_factors[user], atol=1e-5)
    assert not (tmp_path / "checkpoints").exists()


@BOTH
def test_both_engines_learn_the_same_structure(algorithm, spark_engine):
    matrix = random_matrix(n_users=60, n_items=30)
    observations, n_items = matrix.observations, matrix.n_items
    spark, local = (
        with_users_of(fit(observations, n_items, HYPER_PARAMETERS[algorithm], 0), observations)
        for fit in (spark_engine, fit_heads)
    )
    rated = ~np.isnan(observations.rating)
    user, item = observations.user_of_row()[rated], observations.item[rated]
    deviation = np.std(observations.rating[rated])
    for heads in (spark, local):
        head = heads.rating
        product = np.einsum("nf,nf->n", head.user_factors[user], head.item_factors[item])
        stars = head.global_mean + head.user_bias[user] + head.item_bias[item] + product
        assert np.sqrt(np.mean(np.square(stars - observations.rating[rated]))) < 0.75 * deviation
    scores = [heads.ranking.user_factors @ heads.ranking.item_factors.T for heads in (spark, local)]
    assert np.corrcoef(scores[0].ravel(), scores[1].ravel())[0, 1] > 0.8
    if algorithm == "nmf":
        assert min(spark.rating.item_factors.min(), spark.ranking.item_factors.min()) >= 0


def test_an_item_without_a_rating_is_like_the_mean_or_zero(spark_engine):
    rows = [(f"u{u}", f"i{i}", "rating", 1.0 + (u + i) % 5) for u in range(8) for i in range(6) if (u + i) % 4]
    matrix = matrix_from(events_table([*rows, ("u0", "seen", "view", None)]))
    unrated = matrix.item_ids.index("seen")
    svd, nmf = (spark_engine(matrix.observations, matrix.n_items, HYPER_PARAMETERS[name], 0) for name in ("svd", "nmf"))

    assert not svd.rating.item_factors[unrated].any()
    assert svd.rating.item_bias[unrated] == 0
    others = np.arange(matrix.n_items) != unrated
    np.testing.assert_allclose(
        nmf.rating.item_factors[unrated], nmf.rating.item_factors[others].mean(axis=0), rtol=1e-5
    )


def test_nothing_to_learn_stars_from_is_refused(spark_engine):
    matrix = matrix_from(events_table([("u", "i", "view", None)]))
    with pytest.raises(TooFewRatingsError, match="no rating to learn from"):
        spark_engine(matrix.observations, matrix.n_items, HYPER_PARAMETERS["svd"], 0)


def test_the_engine_of_the_settings(settings: Settings, spark: SparkSession):
    assert engine(settings) is fit_heads


def test_executors_in_other_processes_train_better_than_the_mean(settings: Settings):
    executors, rmse = run_on_cluster(
        TRAIN,
        settings,
        TRAINING__ENGINE="spark",
        MODELS__SVD__FACTORS="8",
        MODELS__SVD__RANKING_ITERATIONS="4",
    )
    assert int(executors) == 2
    assert 0.4 < float(rmse) < 0.85
    model = read_model(settings.root / "model")
    assert model.manifest.hyper_parameters["factors"] == 8
