"""Training time and error beside scikit-surprise and implicit: `python -m benchmarks.training [--ratings FILE]`.

Everything runs in one process, one after the other, on a random 80 % of the rows; peers that are not installed
(`pip install .[bench]`) are left out. Times include everything between arrays and a usable model, except compilation.
Prints one line per trainer and, as its last line, one JSON object with the ratios.
"""

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommender_assets.evaluation.metrics.rmse import rmse
from recommender_assets.evaluation.splits import random_rows
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.settings import load_settings
from recommender_assets.training.progress import silent
from recommender_assets.training.ranking import fit_ranking
from recommender_assets.training.rating_nmf import fit_rating_nmf
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import Rows, rating_rows, strength_rows
from recommender_assets.training.user_step import solve_ranking_users, solve_rating_users
from recommender_assets.training.warm_up import warm_up
from recommender_serving.engine.factor_model import RatingHead
from recommender_serving.engine.history import Observations

Result = TypeVar("Result")

RANKING_FACTORS, RANKING_ITERATIONS = 64, 15


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One trainer's time, and its error on the held-out ratings (None for rankings)."""

    trainer: str
    seconds: float
    rmse: float | None = None


def main() -> None:
    """Measure ours and the peers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=Path, help="CSV with user_id, item_id, rating; default: dslabs MovieLens")
    arguments = parser.parse_args()

    settings = load_settings()
    matrix = rating_matrix(arguments.ratings, settings.weights)
    held_out = random_rows(len(matrix.observations.item), 0.2, seed=0)
    training, test = matrix.observations.select(~held_out), rating_rows(matrix.observations.select(held_out))
    warm_up()
    figures: dict[str, Figure] = {}
    for measure in (_ours, _surprise, _implicit):
        for figure in measure(matrix, training, test):
            figures[figure.trainer] = figure
            error = "" if figure.rmse is None else f"RMSE {figure.rmse:.4f}"
            print(f"{figure.trainer:22} {figure.seconds:8.2f} s  {error}")
    print(json.dumps({"benchmark": "training", **msgspec.to_builtins(figures), "times_faster": _ratios(figures)}))


def _ours(matrix: UserItemMatrix, training: Observations, test: Rows) -> Iterator[Figure]:
    models = load_settings().models
    rows, n_items = rating_rows(training), matrix.n_items

    def svd() -> RatingHead:
        return _with_users(fit_rating_svd(training, n_items, models.svd, 0, silent)[0], training)

    def nmf() -> RatingHead:
        return _with_users(fit_rating_nmf(rows, n_items, models.nmf, 0, silent)[0], training)

    for name, fit in (("ours svd rating", svd), ("ours nmf rating", nmf)):
        seconds, head = _timed(fit)
        yield Figure(trainer=name, seconds=seconds, rmse=rmse(_predicted(head, test, matrix), test.target))
    hyper_parameters = msgspec.structs.replace(
        models.svd, factors=RANKING_FACTORS, ranking_iterations=RANKING_ITERATIONS
    )
    seconds, _ = _timed(
        lambda: solve_ranking_users(
            fit_ranking(strength_rows(training), n_items, hyper_parameters, 0, silent)[0], training
        )
    )
    yield Figure(trainer="ours svd ranking", seconds=seconds)


def _surprise(matrix: UserItemMatrix, training: Observations, test: Rows) -> Iterator[Figure]:
    if importlib.util.find_spec("surprise") is None:
        return
    from surprise import NMF, SVD, Dataset, Reader  # noqa: PLC0415 (may not be installed)

    rows = rating_rows(training)
    frame = pd.DataFrame({"user": rows.row_of_entry(), "item": rows.column, "rating": rows.target})
    scale = (matrix.scale.min, matrix.scale.max)
    data = Dataset.load_from_df(frame, Reader(rating_scale=scale)).build_full_trainset()
    for name, model in (
        ("surprise svd rating", SVD(n_factors=100, n_epochs=20, random_state=0)),
        ("surprise nmf rating", NMF(n_factors=50, n_epochs=50, random_state=0)),
    ):
        seconds, _ = _timed(partial(model.fit, data))
        pairs = zip(test.row_of_entry().tolist(), test.column.tolist(), strict=True)
        predicted = np.array([model.predict(user, item).est for user, item in pairs])
        yield Figure(trainer=name, seconds=seconds, rmse=rmse(predicted, test.target))


def _implicit(matrix: UserItemMatrix, training: Observations, _: Rows) -> Iterator[Figure]:
    if importlib.util.find_spec("implicit") is None:
        return
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415 (may not be installed)

    pairs = csr_matrix((training.strength, training.item, training.indptr), shape=(training.n_users, matrix.n_items))
    model = AlternatingLeastSquares(
        factors=RANKING_FACTORS, iterations=RANKING_ITERATIONS, regularization=30.0, alpha=5.0, random_state=0
    )
    seconds, _fitted = _timed(lambda: model.fit(pairs, show_progress=False))
    yield Figure(trainer="implicit als ranking", seconds=seconds)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _with_users(head: RatingHead, training: Observations) -> RatingHead:
    factors, bias = solve_rating_users(head, training)
    return replace(head, user_factors=factors, user_bias=bias)


def _predicted(head: RatingHead, test: Rows, matrix: UserItemMatrix) -> NDArray[np.floating]:
    user, item = test.row_of_entry(), test.column
    product = np.einsum("nf,nf->n", head.user_factors[user], head.item_factors[item])
    stars = head.global_mean + head.user_bias[user] + head.item_bias[item] + product
    return np.asarray(np.clip(stars, matrix.scale.min, matrix.scale.max))


def _ratios(figures: dict[str, Figure]) -> dict[str, float]:
    pairs = (
        ("ours svd rating", "surprise svd rating"),
        ("ours nmf rating", "surprise nmf rating"),
        ("ours svd ranking", "implicit als ranking"),
    )
    return {ours: figures[peer].seconds / figures[ours].seconds for ours, peer in pairs if peer in figures}


if __name__ == "__main__":
    main()
