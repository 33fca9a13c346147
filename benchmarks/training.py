"""Training time and error beside the peers: `python -m benchmarks.training [--ratings FILE]`.

Everything runs in one process, one after the other, on a random 80 % of the rows; peers that are not installed
(`pip install .[bench]`) are left out. Our times are the best of three, those of peers of one; they include
everything between arrays and a usable model, except compilation and the start of Spark. Our rating heads are measured
twice: with the epochs that reach the best error, and with the few that reach the peer's. Then the loss of the ranking
head beside that of exact steps, how time grows with the number of ratings, and the memory that training takes.
Prints one line per figure and, as its last line, one JSON object; a ratio says how many times faster than the peer the
fastest of ours is whose error is not greater.
"""

import argparse
import json
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.held_out_rmse import held_out_rmse
from benchmarks.timing import Figure, Result, timed
from benchmarks.training_peers import implicit_figure, spark_figure, surprise_figures
from benchmarks.variants import with_few_epochs
from recommender_assets.evaluation.splits import random_rows
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.settings import ModelsSettings, SvdSettings, load_settings
from recommender_assets.training.exact_solver import solve_rows
from recommender_assets.training.heads import fit_heads, with_users_of
from recommender_assets.training.progress import silent
from recommender_assets.training.ranking import fit_ranking
from recommender_assets.training.rating_nmf import fit_rating_nmf
from recommender_assets.training.rating_svd import fit_rating_svd
from recommender_assets.training.rows import Rows, rating_rows, strength_rows
from recommender_assets.training.user_step import solve_ranking_users, solve_rating_users
from recommender_assets.training.warm_up import warm_up
from recommender_assets.tuning.presets import PRESETS, preset_for
from recommender_serving.engine.factor_model import RankingHead, RatingHead
from recommender_serving.engine.history import Observations

RANKING_FACTORS, RANKING_ITERATIONS = 64, 15
REPEATS = 3
GROWTH = 10


def main() -> None:
    """Measure ours and the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=Path, help="CSV (plain or compressed) or Parquet; default: dslabs MovieLens")
    parser.add_argument("--preset", choices=[*PRESETS, "config"], help="hyper-parameters; default: by the data's shape")
    arguments = parser.parse_args()

    settings = load_settings()
    matrix = rating_matrix(arguments.ratings, settings.weights)
    preset = arguments.preset or preset_for(matrix) or "config"
    models = PRESETS.get(preset, settings.models)
    held_out = random_rows(len(matrix.observations.item), 0.2, seed=0)
    training, test = matrix.observations.select(~held_out), rating_rows(matrix.observations.select(held_out))
    ranking = msgspec.structs.replace(models.svd, factors=RANKING_FACTORS, ranking_iterations=RANKING_ITERATIONS)
    n = len(training.item)
    print(f"{matrix.n_users:,} users, {matrix.n_items:,} items, {n:,} training rows, hyper-parameters: {preset}")
    warm_up()
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as folder:
        for figure in (
            *_ours(matrix, training, test, models, ranking),
            *surprise_figures(matrix, training, test),
            *implicit_figure(matrix, training, RANKING_FACTORS, RANKING_ITERATIONS),
            *spark_figure(matrix, training, ranking, Path(folder)),
        ):
            figures[figure.trainer] = figure
            error = "" if figure.rmse is None else f"RMSE {figure.rmse:.4f}"
            print(f"{figure.trainer:22} {figure.seconds:8.2f} s  {error}", flush=True)
    facts = {
        "ratios": _ratios(figures),
        "ranking_loss_over_exact": _loss_over_exact(training, matrix.n_items, ranking),
        "growth": _growth(training, matrix.n_items, models),
        "megabytes_per_million_rows": _megabytes(training, matrix.n_items, models),
    }
    for name, value in facts.items():
        print(f"{name:28} {value}")
    print(json.dumps({"benchmark": "training", "preset": preset, "figures": msgspec.to_builtins(figures), **facts}))


def _ours(
    matrix: UserItemMatrix, training: Observations, test: Rows, models: ModelsSettings, ranking: SvdSettings
) -> Iterator[Figure]:
    for suffix, chosen in (("", models), (", few epochs", with_few_epochs(models))):
        for name, fit in (("svd", _fit_svd), ("nmf", _fit_nmf)):
            seconds, head = _best(partial(fit, training, matrix.n_items, chosen))
            yield Figure(
                trainer=f"ours {name}{suffix}", seconds=seconds, rmse=held_out_rmse(head, training, test, matrix)
            )
    seconds, _ = _best(lambda: solve_ranking_users(_fit_ranking(training, matrix.n_items, ranking), training))
    yield Figure(trainer="ours ranking", seconds=seconds)


def _fit_svd(training: Observations, n_items: int, models: ModelsSettings) -> RatingHead:
    return _with_users(fit_rating_svd(training, n_items, models.svd, 0, silent)[0], training)


def _fit_nmf(training: Observations, n_items: int, models: ModelsSettings) -> RatingHead:
    return _with_users(fit_rating_nmf(rating_rows(training), n_items, models.nmf, 0, silent)[0], training)


def _fit_ranking(training: Observations, n_items: int, settings: SvdSettings) -> RankingHead:
    return fit_ranking(strength_rows(training), n_items, settings, 0, silent)[0]


def _loss_over_exact(training: Observations, n_items: int, settings: SvdSettings) -> float:
    """Loss of our inexact steps over that of as many exact ones from the same start."""
    rows = strength_rows(training)
    by_item, k = rows.transposed(n_items), settings.factors
    _, curve = fit_ranking(rows, n_items, settings, 0, silent)
    first, _ = fit_ranking(rows, n_items, msgspec.structs.replace(settings, ranking_iterations=1), 0, silent)
    users, items = first.user_factors, first.item_factors

    def exact(side: Rows, fixed: NDArray[np.float32], penalty: float) -> NDArray[np.float32]:
        gram = settings.unobserved_weight * (fixed.T.astype(np.float64) @ fixed)
        return solve_rows(side, fixed, np.full(k, penalty), np.zeros(k), gram=gram).astype(np.float32)

    for _ in range(settings.ranking_iterations - 1):
        users = exact(rows, items, settings.ranking_regularization)
        items = exact(by_item, users, settings.ranking_item_regularization)
    error = rows.target - np.einsum("nf,nf->n", users[rows.row_of_entry()], items[rows.column])
    loss = float(np.sum(rows.weight * np.square(error), dtype=np.float64))
    loss += settings.unobserved_weight * float(np.vdot(users.T @ users, items.T @ items))
    loss += settings.ranking_regularization * float(np.sum(np.square(users), dtype=np.float64))
    loss += settings.ranking_item_regularization * float(np.sum(np.square(items), dtype=np.float64))
    return curve[-1] * len(rows.column) / loss


def _growth(training: Observations, n_items: int, models: ModelsSettings) -> dict[str, float]:
    """How many times longer a whole training takes with all users than with every tenth of them."""
    few = _of_users(training, np.arange(0, training.n_users, GROWTH))
    ratio = {"rows": len(training.item) / len(few.item)}
    for name in ("svd", "nmf"):
        ratio[name] = _train_seconds(training, n_items, models, name) / _train_seconds(few, n_items, models, name)
    return ratio


def _of_users(observations: Observations, users: NDArray[np.int64]) -> Observations:
    counts = np.diff(observations.indptr)
    chosen = np.isin(observations.user_of_row(), users)
    indptr = np.concatenate([[0], np.cumsum(counts[users])]).astype(np.int64)
    columns = (observations.item, observations.rating, observations.strength)
    return Observations(indptr, *(column[chosen] for column in columns))


def _train_seconds(observations: Observations, n_items: int, models: ModelsSettings, algorithm: str) -> float:
    return _best(lambda: _train(observations, n_items, models, algorithm))[0]


def _train(observations: Observations, n_items: int, models: ModelsSettings, algorithm: str) -> None:
    """Both heads and their users, as `recommender train` does it."""
    with_users_of(fit_heads(observations, n_items, getattr(models, algorithm), seed=0), observations)


def _megabytes(training: Observations, n_items: int, models: ModelsSettings) -> dict[str, float]:
    """Greatest memory that a whole training takes beside its input, model included, per million training rows."""
    peaks = {}
    for name in ("svd", "nmf"):
        tracemalloc.start()
        _train(training, n_items, models, name)
        peaks[name] = tracemalloc.get_traced_memory()[1] / 1e6 / (len(training.item) / 1e6)
        tracemalloc.stop()
    return peaks


def _best(work: Callable[[], Result]) -> tuple[float, Result]:
    return min((timed(work) for _ in range(REPEATS)), key=lambda found: found[0])


def _with_users(head: RatingHead, training: Observations) -> RatingHead:
    factors, bias = solve_rating_users(head, training)
    return replace(head, user_factors=factors, user_bias=bias)


def _ratios(figures: dict[str, Figure]) -> dict[str, float]:
    """How many times faster than each peer; left out where none of ours has an error as small."""
    ratios = {}
    for key, ours, peer_name in (
        ("svd_vs_surprise", ("ours svd", "ours svd, few epochs"), "surprise svd"),
        ("nmf_vs_surprise", ("ours nmf", "ours nmf, few epochs"), "surprise nmf"),
        ("ranking_vs_implicit", ("ours ranking",), "implicit ranking"),
        ("ranking_vs_spark", ("ours ranking",), "spark ranking"),
    ):
        peer = figures.get(peer_name)
        seconds = [figures[name].seconds for name in ours if peer and _is_as_good(figures[name], peer)]
        if peer and seconds:
            ratios[key] = peer.seconds / min(seconds)
    return ratios


def _is_as_good(ours: Figure, peer: Figure) -> bool:
    return ours.rmse is None or peer.rmse is None or ours.rmse <= peer.rmse


if __name__ == "__main__":
    main()
