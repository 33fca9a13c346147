"""The quality curve over time of a backtest, for the metadata of its asset."""

from collections.abc import Sequence

from recommender_assets.evaluation.backtest import BacktestMonth
from recommender_assets.presentation.plots import quality_over_time


def backtest_plot(metric: str, months: Sequence[BacktestMonth]) -> str:
    """A metric by month for every algorithm and floor; months without figures are left out."""
    curves: dict[str, dict[str, float]] = {}
    for month in months:
        for algorithm, metrics in month.metrics.items():
            if metric in metrics:
                curves.setdefault(algorithm, {})[month.month] = metrics[metric]
        for floor, value in month.floors.get(metric, {}).items():
            curves.setdefault(f"floor: {floor}", {})[month.month] = value
    return quality_over_time(metric, curves)
