"""Experiments: their design, simulation and analysis. `ABTestFramework` is loaded when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recommender_assets.experiments.framework import ABTestFramework

__all__ = ["ABTestFramework"]


def __getattr__(name: str) -> Any:
    """Load the framework, with its statistics, Spark and MLflow, only for those who use it (PEP 562)."""
    if name == "ABTestFramework":
        return import_module("recommender_assets.experiments.framework").ABTestFramework
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
