"""Small PNG plots as Markdown images, for the metadata of assets."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 5.0, 2.8, 80


def rating_distribution(ratings: npt.NDArray[np.floating]) -> str:
    """Bar chart of how often each rating was given. NaN (no rating) is left out."""
    values, counts = np.unique(ratings[~np.isnan(ratings)], return_counts=True)
    axes = _axes("rating", "interactions")
    width = float(np.diff(values).min()) * 0.8 if len(values) > 1 else 0.4
    axes.bar(values, counts, width=width)
    return _markdown(axes, "rating distribution")


def explained_variance(shares: Mapping[str, Sequence[float]]) -> str:
    """Cumulative share of variance explained by the first components, one line per table.

    Args:
        shares: for each table, the share of each component in decreasing order.
    """
    axes = _axes("components", "variance explained")
    for name, share in shares.items():
        axes.plot(np.arange(1, len(share) + 1), np.cumsum(share), label=name)
    axes.set_ylim(0, 1.02)
    axes.legend()
    return _markdown(axes, "explained variance")


def training_curves(curves: Mapping[str, Sequence[float]]) -> str:
    """Each curve by iteration, scaled to its first value so that different units share one axis."""
    axes = _axes("iteration", "relative to the first")
    for name, curve in curves.items():
        first = curve[0] if len(curve) and curve[0] else 1.0
        axes.plot(np.arange(1, len(curve) + 1), np.asarray(curve) / first, label=name)
    axes.legend()
    return _markdown(axes, "training curves")


def comparison(metric: str, values: Mapping[str, float], floors: Mapping[str, float]) -> str:
    """Horizontal bars of one metric by model, with its floors as dashed lines."""
    axes = _axes(metric, "")
    axes.barh(list(values), list(values.values()), height=0.5)
    for index, (name, floor) in enumerate(floors.items()):
        axes.axvline(floor, linestyle="--", color=f"C{index + 1}", label=f"floor: {name}")
    if floors:
        axes.legend()
    return _markdown(axes, f"{metric} of the models")


def _axes(x_label: str, y_label: str) -> Axes:
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return axes


def _markdown(axes: Axes, title: str) -> str:
    buffer = io.BytesIO()
    cast("Figure", axes.figure).savefig(buffer, format="png")
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')})"
