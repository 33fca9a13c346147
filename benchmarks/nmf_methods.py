"""Ways to factorise the observed ratings without negative factors: `python -m benchmarks.nmf_methods [--ratings FILE]`.

Coordinate descent is what the product does. Beside it, from the same start: exact non-negative least squares in every
half-step (Kim and Park 2008), and multiplicative updates (Lee and Seung 2001, with weights 0 for what was not rated;
they know no penalty towards the mean). Users are solved exactly at the end.
Prints RMSE on a random 20 % of the rows and seconds, and one JSON object as its last line.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.held_out_rmse import held_out_rmse
from benchmarks.timing import timed
from recommender_assets.evaluation.splits import random_rows
from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.settings import NmfSettings, load_settings
from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.progress import silent
from recommender_assets.training.rating_nmf import fit_rating_nmf, floor_and_unit, nmf_rating_head
from recommender_assets.training.rows import Rows, rating_rows
from recommender_assets.tuning.presets import PRESETS, preset_for
from recommender_serving.engine.factor_model import RatingHead
from recommender_serving.engine.history import Observations

Float32s = NDArray[np.float32]


def main() -> None:
    """Compare the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=Path, help="CSV (plain or compressed) or Parquet; default: dslabs MovieLens")
    parser.add_argument("--iterations", type=int, default=10, help="of every method; ten times as many updates  [10]")
    arguments = parser.parse_args()
    settings = load_settings()
    matrix = rating_matrix(arguments.ratings, settings.weights)
    models = PRESETS.get(preset_for(matrix) or "config", settings.models)
    nmf = replace_iterations(models.nmf, arguments.iterations)
    held_out = random_rows(len(matrix.observations.item), 0.2, seed=0)
    training, test = matrix.observations.select(~held_out), rating_rows(matrix.observations.select(held_out))
    figures = {}
    for name, fit in (
        ("coordinate descent", coordinate_descent),
        ("exact least squares", exact_least_squares),
        ("multiplicative updates", multiplicative_updates),
    ):
        fit(training, matrix.n_items, replace_iterations(nmf, 1))  # compiles
        seconds, head = timed(partial(fit, training, matrix.n_items, nmf))
        figures[name] = {"rmse": held_out_rmse(head, training, test, matrix), "seconds": seconds}
        print(f"{name:24} RMSE {figures[name]['rmse']:.4f}  {seconds:7.2f} s", flush=True)
    print(json.dumps({"benchmark": "nmf_methods", "iterations": arguments.iterations, **figures}))


def replace_iterations(settings: NmfSettings, iterations: int) -> NmfSettings:
    """The same hyper-parameters with another number of iterations."""
    return msgspec.structs.replace(settings, iterations=iterations)


def coordinate_descent(training: Observations, n_items: int, settings: NmfSettings) -> RatingHead:
    """Two sweeps per half-step, as in training."""
    return fit_rating_nmf(rating_rows(training), n_items, settings, 0, silent)[0]


def exact_least_squares(training: Observations, n_items: int, settings: NmfSettings) -> RatingHead:
    """Every half-step to its exact minimum."""
    rows = rating_rows(training)
    by_item = rows.transposed(n_items)
    users, items = _start(rows, n_items, settings)
    penalty = np.full(settings.factors, settings.regularization + settings.alpha)
    for _ in range(settings.iterations):
        users = _exact(rows, items, penalty, users)
        items = _exact(by_item, users, penalty, items)
    return _head(rows, users, items, settings)


def multiplicative_updates(training: Observations, n_items: int, settings: NmfSettings) -> RatingHead:
    """Ten cheap updates for each iteration of the others."""
    rows = rating_rows(training)
    users, items = _start(rows, n_items, settings)
    user, item = rows.row_of_entry(), rows.column
    rated = csr_matrix((rows.target, item, rows.indptr), shape=(rows.n_rows, n_items))
    predicted = rated.copy()
    for _ in range(10 * settings.iterations):
        predicted.data[:] = np.einsum("nf,nf->n", users[user], items[item])
        users *= _quotient(rated @ items, predicted @ items + settings.alpha * users)
        predicted.data[:] = np.einsum("nf,nf->n", users[user], items[item])
        items *= _quotient(rated.T @ users, predicted.T @ users + settings.alpha * items)
    return _head(rows, users, items, settings)


def _quotient(numerator: Float32s, denominator: Float32s) -> Float32s:
    return numerator / np.maximum(denominator, np.float32(1e-9))


def _start(rows: Rows, n_items: int, settings: NmfSettings) -> tuple[Float32s, Float32s]:
    random = np.random.default_rng(0)
    level = np.sqrt(rows.target.mean(dtype=np.float64) / settings.factors)
    sides = ((rows.n_rows, settings.factors), (n_items, settings.factors))
    users, items = (
        (level * np.maximum(0.01, 1.0 + random.standard_normal(shape))).astype(np.float32) for shape in sides
    )
    return users, items


def _exact(rows: Rows, fixed: Float32s, penalty: NDArray[np.float64], moving: Float32s) -> Float32s:
    mean = moving[np.diff(rows.indptr) > 0].mean(axis=0).astype(np.float64)
    return solve_rows(rows, fixed, penalty, mean, non_negative=True).astype(np.float32)


def _head(rows: Rows, users: Float32s, items: Float32s, settings: NmfSettings) -> RatingHead:
    floor, unit = floor_and_unit(rows)
    return nmf_rating_head(rows, users, items, settings, floor=floor, unit=unit)


if __name__ == "__main__":
    main()
