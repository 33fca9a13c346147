"""Trainings in MLflow without any training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from recommender_assets.promotion.registry import Registry
from recommender_assets.promotion.training_run import TrainingRun
from recommender_serving.engine.factor_model import read_model


def log_training(  # noqa: PLR0917 (all but three optional)
    registry: Registry,
    directory: Path,
    version: str,
    parameters: Mapping[str, Any] | None = None,
    curves: Mapping[str, Sequence[float]] | None = None,
    parent_run_id: str | None = None,
) -> str:
    """Log the model in a directory as if it had just been trained under another version; the run's id."""
    manifest = msgspec.structs.replace(read_model(directory).manifest, version=version, metrics={})
    with TrainingRun(registry, version[:3], parameters or {"factors": 4}, parent_run_id) as run:
        for name, curve in (curves or {"rating_rmse": [1.0, 0.9]}).items():
            for step, value in enumerate(curve, 1):
                run.progress("head", step, len(curve), {name: value})
        run.log_model(directory, manifest, directory.parent)
    return run.run_id
