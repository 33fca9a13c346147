"""Small PNG plots as Markdown images, for the metadata of assets."""

import base64
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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


def list_curves(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Quality by length of the list, one panel per metric; floors are dashed.

    Args:
        curves: metric -> model or `floor: name` -> values for lists of 1, 2, ... items.
    """
    figure = Figure(figsize=(max(1, len(curves)) * 3.2, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, max(1, len(curves)), squeeze=False)[0]
    for axes, (metric, lines) in zip(panels, curves.items(), strict=False):
        for name, values in lines.items():
            style = "--" if name.startswith("floor: ") else "-"
            axes.plot(np.arange(1, len(values) + 1), values, style, label=name)
        axes.set_xlabel("items in the list")
        axes.set_title(metric, fontsize="medium")
    if curves:
        panels[0].legend(fontsize="x-small")
    return _markdown(panels[0], "quality by length of the list")


def differences(title: str, intervals: Mapping[str, tuple[float, float, float]]) -> str:
    """Differences with their intervals; one that does not touch the line at zero is no chance.

    Args:
        title: what was subtracted from what.
        intervals: metric -> (value, low, high).
    """
    axes = _axes(title, "")
    names = list(intervals)[::-1]
    for row, metric in enumerate(names):
        value, low, high = intervals[metric]
        axes.plot([low, high], [row, row], color="C0")
        axes.plot([value], [row], "o", color="C0")
    axes.set_yticks(range(len(names)), names, fontsize="x-small")
    axes.axvline(0.0, color="grey", linewidth=0.8)
    return _markdown(axes, title)


def quality_over_time(metric: str, curves: Mapping[str, Mapping[str, float]]) -> str:
    """One metric by month.

    Args:
        metric: its name.
        curves: model or `floor: name` -> month (`YYYY-MM`) -> value; floors are dashed.
    """
    axes = _axes("", metric)
    for name, values in curves.items():
        style = "--" if name.startswith("floor: ") else "-"
        axes.plot(np.array(list(values), dtype="datetime64[M]"), list(values.values()), style, label=name, linewidth=1)
    if curves:
        axes.legend(fontsize="x-small")
    return _markdown(axes, f"{metric} by month")


@dataclass(frozen=True)
class EffectCurve:
    """The difference of one treatment to control at the end of each day, with its interval.

    Attributes:
        days: counted from 1.
        differences: one per day.
        intervals: (low, high) of each; an end that is not finite is not drawn.
    """

    days: Sequence[int]
    differences: Sequence[float]
    intervals: Sequence[tuple[float, float]]


def effect_by_day(metric: str, curves: Mapping[str, EffectCurve], smallest: float) -> bytes:
    """PNG of the cumulative effect of each treatment with its confidence sequence.

    Args:
        metric: what was compared.
        curves: by treatment.
        smallest: the smallest effect worth finding, drawn dashed on both sides of zero.
    """
    axes = _axes("day", f"difference in {metric}")
    for index, (arm, curve) in enumerate(curves.items()):
        color = f"C{index}"
        axes.plot(curve.days, curve.differences, "o-", color=color, label=f"{arm} minus control", markersize=3)
        low, high = (np.array([interval[end] for interval in curve.intervals], dtype=float) for end in (0, 1))
        known = np.isfinite(low) & np.isfinite(high)
        axes.fill_between(np.array(curve.days, dtype=float), low, high, where=known.tolist(), color=color, alpha=0.2)
    axes.axhline(0.0, color="grey", linewidth=0.8)
    for effect in (-smallest, smallest):
        axes.axhline(effect, color="grey", linewidth=0.8, linestyle="--")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if curves:
        axes.legend(fontsize="x-small")
    return _png(axes)


class Measurement(NamedTuple):
    """A value measured at a time, with both ends of its interval."""

    at: dt.datetime
    value: float
    low: float
    high: float


class History(NamedTuple):
    """What the champions, the other contenders and the rollbacks were, each in the order of time."""

    champion: Sequence[Measurement]
    challengers: Sequence[Measurement]
    rollbacks: Sequence[dt.datetime]


def champion_history(metric: str, history: History) -> str:
    """One metric over time: a line for whoever was champion, points with intervals for the others, rollbacks dashed."""
    axes = _axes("", metric)
    for label, color, style, points in (
        ("champion", "C0", "o-", history.champion),
        ("other contenders", "C1", "o", history.challengers),
    ):
        for point in points:
            axes.plot(_utc([point.at] * 2), [point.low, point.high], color=color, linewidth=0.8)
        if points:
            axes.plot(_utc([p.at for p in points]), [p.value for p in points], style, color=color, label=label)
    for index, at in enumerate(history.rollbacks):
        whole_height = axes.get_xaxis_transform()
        label = "" if index else "rollback"
        axes.plot(_utc([at] * 2), [0, 1], "--", color="C3", linewidth=0.8, label=label, transform=whole_height)
    if history.champion or history.challengers or history.rollbacks:
        axes.legend(fontsize="x-small")
    cast("Figure", axes.figure).autofmt_xdate(rotation=30)
    return _markdown(axes, f"{metric} of champion and challengers over time")


def _utc(times: Sequence[dt.datetime]) -> npt.NDArray[np.datetime64]:
    return np.array([time.astimezone(dt.UTC).replace(tzinfo=None) for time in times], dtype="datetime64[us]")


def png_of(image: str) -> bytes:
    """The PNG inside a Markdown image of this module."""
    return base64.b64decode(image.rpartition("base64,")[2].removesuffix(")"))


def _axes(x_label: str, y_label: str) -> Axes:
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return axes


def image(title: str, png: bytes) -> str:
    """A PNG as a Markdown image that needs no file."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def _png(axes: Axes) -> bytes:
    buffer = io.BytesIO()
    cast("Figure", axes.figure).savefig(buffer, format="png")
    return buffer.getvalue()


def _markdown(axes: Axes, title: str) -> str:
    return image(title, _png(axes))
