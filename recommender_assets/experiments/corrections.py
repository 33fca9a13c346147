"""Several comparisons at once: metrics, variants or segments."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Adjusted p-values that keep the chance of any false alarm among them below the level.

    Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".

    Raises:
        ValueError: a p-value outside 0..1, naming it.
    """
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise ValueError(f"p-value of {name} must lie between 0 and 1, got {p}")
    adjusted: dict[Name, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted
