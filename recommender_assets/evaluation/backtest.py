"""Backtest: what models would have said in a month of the past, trained on what was known before it.

Items and users are those of the matrix, so what first appeared within the month counts against every model and floor
alike. A pair that was rated again later stands in the month of its latest event.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from recommender_assets.evaluation.evaluation import evaluate_scores, floor_figures
from recommender_assets.evaluation.finite_figures import finite_figures
from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.measures.rating import RATING
from recommender_assets.evaluation.model_scores import head_scores
from recommender_assets.evaluation.split import Split
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.pair_times import pair_times
from recommender_assets.settings import Settings
from recommender_assets.training.heads import FitHeads, fit_heads
from recommender_serving.engine.atomic_files import replace_file

BACKTEST_METRICS = ("rmse", "mae", "catalogue_ndcg_at_10", "catalogue_hit_rate_at_20")

_LEAST_TRAINING_RATINGS = 100
_MEASURES = (RATING, CATALOGUE)


class BacktestMonth(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one month.

    Attributes:
        month: `YYYY-MM`.
        training_pairs: observed before the month.
        test_pairs: observed in it.
        known_users: share of the month's users who had been observed before; None without test pairs.
        metrics: algorithm -> metric -> value; empty where there is too little to train on or nothing to test.
        floors: metric -> floor -> value.
    """

    month: str
    training_pairs: int
    test_pairs: int
    known_users: float | None = None
    metrics: dict[str, dict[str, float]] = {}
    floors: dict[str, dict[str, float]] = {}


def backtest_month(
    matrix: UserItemMatrix, start: dt.datetime, end: dt.datetime, settings: Settings, fit: FitHeads = fit_heads
) -> BacktestMonth:
    """Train both algorithms on everything before `start`, and measure them on what happened from then to `end`.

    Args:
        matrix: everything that is known.
        start: first instant of the month, with a time zone.
        end: first instant of the next month.
        settings: `models`, `training.seed` are used.
        fit: the engine, see `training/engines.py`.
    """
    time = pair_times(matrix)
    before, first_after = (int(instant.timestamp() * 1e6) for instant in (start, end))
    is_past, is_now = time < before, (time >= before) & (time < first_after)
    split = Split(
        training=matrix.observations.select(is_past),
        test=matrix.observations.select(is_now),
        n_items=matrix.n_items,
        scale=matrix.scale,
    )
    month = BacktestMonth(
        month=f"{start:%Y-%m}",
        training_pairs=int(is_past.sum()),
        test_pairs=int(is_now.sum()),
        known_users=_known(split),
    )
    if not month.test_pairs or np.count_nonzero(~np.isnan(split.training.rating)) < _LEAST_TRAINING_RATINGS:
        return month
    floors = floor_figures(split, _MEASURES)
    metrics = {}
    for algorithm, hyper_parameters in (("svd", settings.models.svd), ("nmf", settings.models.nmf)):
        heads = fit(split.training, matrix.n_items, hyper_parameters, settings.training.seed)
        scores = head_scores(heads.rating, heads.ranking, split.training, np.arange(matrix.n_items), matrix.scale)
        metrics[algorithm] = _chosen(evaluate_scores(scores, split, _MEASURES, floors).metrics)
    return msgspec.structs.replace(
        month,
        metrics=metrics,
        floors={
            metric: finite_figures(values) for metric, values in floors.values.items() if metric in BACKTEST_METRICS
        },
    )


def save_backtest(root: Path, month: BacktestMonth) -> Path:
    """Write the figures of a month in place of earlier ones; returns the file."""
    path = root / "backtest" / f"{month.month}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(month))
    return path


def load_backtests(root: Path) -> list[BacktestMonth]:
    """All months that were backtested, oldest first."""
    files = sorted((root / "backtest").glob("*.json"))
    return [msgspec.json.decode(path.read_bytes(), type=BacktestMonth) for path in files]


def _known(split: Split) -> float | None:
    is_tested = np.diff(split.test.indptr) > 0
    return float((np.diff(split.training.indptr) > 0)[is_tested].mean()) if is_tested.any() else None


def _chosen(metrics: Mapping[str, float]) -> dict[str, float]:
    return finite_figures({name: metrics[name] for name in BACKTEST_METRICS})
