"""Accuracy by protocol and seed, next to its floors: `python -m benchmarks.accuracy [--ratings FILE] [--preset NAME]`.

`rating` runs on a random 20 % of all rows, `rerank` and `catalogue` on a random 20 % of each user's rows. Prints a
table and, as its last line, one JSON object.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.rating_sets import rating_matrix
from recommender_assets.evaluation.floors import floors
from recommender_assets.evaluation.protocols import catalogue_metrics, rating_metrics, rerank_metrics
from recommender_assets.evaluation.splits import random_rows, random_rows_per_user
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.settings import ModelsSettings, NmfSettings, SvdSettings, load_settings
from recommender_assets.training.trainer import Heads, fit_heads, with_users_of
from recommender_serving.engine.history import Observations

PRESETS: dict[str, ModelsSettings] = {
    "ml-1m": ModelsSettings(
        svd=SvdSettings(
            regularization=0.06,
            bias_regularization=0.02,
            epochs=40,
            learning_rate_decay=0.95,
            initial_deviation=0.05,
            ranking_regularization=20.0,
            ranking_item_regularization=10.0,
            unobserved_weight=0.4,
        ),
        nmf=NmfSettings(
            regularization=15.0,
            user_regularization=15.0,
            iterations=30,
            ranking_regularization=10.0,
            ranking_item_regularization=10.0,
            unobserved_weight=0.2,
        ),
    ),
}
"""Hyper-parameters for other shapes of data; without a preset, those of `config.yaml`."""


def main() -> None:
    """Measure both algorithms and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=Path, help="CSV with user_id, item_id, rating; default: dslabs MovieLens")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="hyper-parameters; default: config.yaml")
    parser.add_argument("--seeds", default="0,1,2", help="of the splits, comma-separated")
    parser.add_argument("--algorithms", default="svd,nmf")
    parser.add_argument("--lowest-rating-weight", type=float, help="instead of events.weights.lowest_rating")
    arguments = parser.parse_args()

    settings = load_settings()
    models = PRESETS[arguments.preset] if arguments.preset else settings.models
    weights = settings.weights
    if arguments.lowest_rating_weight is not None:
        weights = msgspec.structs.replace(weights, lowest_rating=arguments.lowest_rating_weight)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    matrix = rating_matrix(arguments.ratings, weights)
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for column, metric, value in _figures(matrix, models, arguments.algorithms.split(","), seeds):
        figures[metric][column].append(value)
    _print_table(figures)
    means = {metric: {column: float(np.mean(v)) for column, v in row.items()} for metric, row in figures.items()}
    print(json.dumps({"benchmark": "accuracy", "seeds": seeds, "observations": len(matrix.observations.item), **means}))


def _figures(
    matrix: UserItemMatrix, models: ModelsSettings, algorithms: list[str], seeds: list[int]
) -> Iterator[tuple[str, str, float]]:
    """(column, metric, value) of every floor and algorithm, seed by seed."""
    observations = matrix.observations
    for seed in seeds:
        rows = random_rows(len(observations.item), 0.2, seed)
        per_user = random_rows_per_user(observations, 0.2, seed)
        for metric, by_floor in floors(*_parts(observations, per_user), matrix.n_items).items():
            if metric != "rmse":
                yield from ((floor, metric, value) for floor, value in by_floor.items())
        yield "item_mean", "rmse", floors(*_parts(observations, rows), matrix.n_items)["rmse"]["item_mean"]
        for algorithm in algorithms:
            hyper_parameters = models.svd if algorithm == "svd" else models.nmf
            for measure, mask in ((_rating, rows), (_rankings, per_user)):
                training, test = _parts(observations, mask)
                start = time.perf_counter()
                heads = with_users_of(fit_heads(training, matrix.n_items, hyper_parameters, seed), training)
                yield algorithm, "training_seconds", time.perf_counter() - start
                for metric, value in measure(heads, matrix, training, test).items():
                    yield algorithm, metric, value


def _parts(observations: Observations, held_out: NDArray[np.bool_]) -> tuple[Observations, Observations]:
    return observations.select(~held_out), observations.select(held_out)


def _rating(heads: Heads, matrix: UserItemMatrix, _: Observations, test: Observations) -> dict[str, float]:
    return rating_metrics(_predict(heads, matrix), test)


def _rankings(heads: Heads, matrix: UserItemMatrix, training: Observations, test: Observations) -> dict[str, float]:
    ranking = heads.ranking
    return {
        **rerank_metrics(_predict(heads, matrix), test),
        **catalogue_metrics(
            lambda users: ranking.user_factors[users] @ ranking.item_factors.T, training, test, matrix.n_items
        ),
    }


def _predict(
    heads: Heads, matrix: UserItemMatrix
) -> Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.floating]]:
    head, scale = heads.rating, matrix.scale

    def predict(user: NDArray[np.int32], item: NDArray[np.int32]) -> NDArray[np.floating]:
        product = np.einsum("nf,nf->n", head.user_factors[user], head.item_factors[item])
        stars = head.global_mean + head.user_bias[user] + head.item_bias[item] + product
        return np.asarray(np.clip(stars, scale.min, scale.max))

    return predict


def _print_table(figures: dict[str, dict[str, list[float]]]) -> None:
    columns = list(dict.fromkeys(column for row in figures.values() for column in row))
    print(f"{'':26}" + "".join(f"{column:>18}" for column in columns))
    for metric, row in figures.items():
        cells = (f"{np.mean(row[c]):.4f} ± {np.std(row[c]):.4f}" if c in row else "" for c in columns)
        print(f"{metric:26}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
