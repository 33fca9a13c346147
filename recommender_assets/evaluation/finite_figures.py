"""Figures that can be written down: JSON has no NaN."""

import math
from collections.abc import Mapping


def finite_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures without those that no user qualified for."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}
