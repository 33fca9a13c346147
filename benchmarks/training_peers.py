"""Peers of the training benchmark: scikit-surprise, implicit and Spark's MLlib, timed on the same rows."""

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.timing import Figure, timed
from recommender_assets.evaluation.metrics.rmse import rmse
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.ingestion.spark_session import start_session
from recommender_assets.settings import SvdSettings, load_settings
from recommender_assets.training.rows import Rows, rating_rows, strength_rows
from recommender_assets.training.spark_engine import SparkEngine
from recommender_serving.engine.history import Observations


def surprise_figures(matrix: UserItemMatrix, training: Observations, test: Rows) -> Iterator[Figure]:
    """SVD with 100 factors and 20 epochs, NMF with 50 and 50; nothing if surprise is not installed."""
    if importlib.util.find_spec("surprise") is None:
        return
    from surprise import NMF, SVD, Dataset, Reader  # noqa: PLC0415 (may not be installed)

    rows = rating_rows(training)
    frame = pd.DataFrame({"user": rows.row_of_entry(), "item": rows.column, "rating": rows.target})
    scale = (matrix.scale.min, matrix.scale.max)
    data = Dataset.load_from_df(frame, Reader(rating_scale=scale)).build_full_trainset()
    for name, model in (
        ("surprise svd", SVD(n_factors=100, n_epochs=20, random_state=0)),
        ("surprise nmf", NMF(n_factors=50, n_epochs=50, random_state=0)),
    ):
        seconds, _ = timed(partial(model.fit, data))
        pairs = zip(test.row_of_entry().tolist(), test.column.tolist(), strict=True)
        predicted = np.array([model.predict(user, item).est for user, item in pairs])
        yield Figure(trainer=name, seconds=seconds, rmse=rmse(predicted, test.target))


def implicit_figure(matrix: UserItemMatrix, training: Observations, factors: int, iterations: int) -> Iterator[Figure]:
    """Alternating least squares by conjugate gradient; nothing if implicit is not installed."""
    if importlib.util.find_spec("implicit") is None:
        return
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415 (may not be installed)

    pairs = csr_matrix((training.strength, training.item, training.indptr), shape=(training.n_users, matrix.n_items))
    model = AlternatingLeastSquares(
        factors=factors, iterations=iterations, regularization=30.0, alpha=5.0, random_state=0
    )
    with threadpool_limits(1, "blas"):  # as implicit asks for: it has threads of its own
        seconds, _ = timed(lambda: model.fit(pairs, show_progress=False))
    yield Figure(trainer="implicit ranking", seconds=seconds)


def spark_figure(
    matrix: UserItemMatrix, training: Observations, hyper_parameters: SvdSettings, folder: Path
) -> Iterator[Figure]:
    """MLlib's alternating least squares with implicit preferences, on all cores of this machine.

    Args:
        matrix: for the number of items.
        training: what is learnt from.
        hyper_parameters: of the ranking head.
        folder: for checkpoints.
    """
    settings = load_settings()
    spark = start_session(settings, **settings.spark.stream_conf)
    spark.sparkContext.setCheckpointDir(str(folder))
    engine, rows = SparkEngine(spark, folder), strength_rows(training)
    spark.range(1_000).count()
    seconds, _ = timed(lambda: engine.fit_ranking(rows, matrix.n_items, hyper_parameters, 0))
    yield Figure(trainer="spark ranking", seconds=seconds)
    spark.stop()
