"""One training in MLflow: a run that shows parameters and losses while it goes on, and the model in the end."""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from recommender_assets.ingestion.schemas import SCHEMAS, TableName
from recommender_assets.ingestion.tables import table_path
from recommender_assets.promotion.mlflow_model import DATA_FOLDER, write_mlmodel
from recommender_assets.promotion.registry import MODEL_ARTIFACT, VERSION_TAG, Registry
from recommender_serving.engine.manifest import Manifest, Position

FLUSH_SECONDS = 1.0
"""How long figures are held back: a request for each epoch would slow the training down."""
_BATCH = 1_000


class TrainingRun:
    """A run below the training's parent run; as a context, one that raises leaves a failed run behind.

    Args:
        registry: of the experiment.
        algorithm: what is trained.
        parameters: hyper-parameters, seed and hold-out.
        parent_run_id: of the training as a whole.
    """

    def __init__(
        self, registry: Registry, algorithm: str, parameters: Mapping[str, Any], parent_run_id: str | None = None
    ) -> None:
        self._client = registry.client
        self._figures: list[Metric] = []
        self._flushed = time.monotonic()
        tags = {"recommender.algorithm": algorithm} | ({"mlflow.parentRunId": parent_run_id} if parent_run_id else {})
        created = self._client.create_run(registry.experiment_id, tags=tags, run_name=f"{algorithm} training")
        self.run_id: str = created.info.run_id
        self._client.log_batch(self.run_id, params=[Param(name, str(value)) for name, value in parameters.items()])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._client.set_terminated(self.run_id, "FINISHED" if kind is None else "FAILED")

    def progress(self, _stage: str, step: int, _steps: int, numbers: Mapping[str, float]) -> None:
        """Note the figures of one step of the training; they appear in MLflow within about a second."""
        now = time.time_ns() // 1_000_000
        self._figures += [Metric(name, value, now, step) for name, value in numbers.items()]
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def log_model(self, directory: Path, manifest: Manifest, root: Path) -> None:
        """Log the model: its files with MLflow's description of them, the data it was made from, and its own figures.

        Args:
            directory: of the model.
            manifest: its manifest.
            root: the storage root with the tables.
        """
        self._client.update_run(self.run_id, name=manifest.version)
        tags = {VERSION_TAG: manifest.version} | position_tags(manifest.position)
        now = time.time_ns() // 1_000_000
        self._client.log_batch(
            self.run_id,
            metrics=[Metric(name, value, now, 0) for name, value in manifest.metrics.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        self._client.log_inputs(self.run_id, datasets=_datasets(root, manifest.position))
        self._client.log_artifacts(self.run_id, str(directory), f"{MODEL_ARTIFACT}/{DATA_FOLDER}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "MLmodel"
            write_mlmodel(path, self.run_id, MODEL_ARTIFACT)
            self._client.log_artifact(self.run_id, str(path), MODEL_ARTIFACT)

    def log_image(self, png: bytes, name: str) -> None:
        """Keep a PNG as `plots/<name>.png`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            path.write_bytes(png)
            self._client.log_artifact(self.run_id, str(path), "plots")

    def _flush(self) -> None:
        for start in range(0, len(self._figures), _BATCH):
            self._client.log_batch(self.run_id, metrics=self._figures[start : start + _BATCH])
        self._figures = []
        self._flushed = time.monotonic()


def position_tags(position: Position) -> dict[str, str]:
    """Up to where the data of a training reach, as tags of its run."""
    fields = msgspec.to_builtins(position)
    return {
        f"recommender.{name}": value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()
    }


def _datasets(root: Path, position: Position) -> list[DatasetInput]:
    """The versions of the tables that a training read."""
    context = [InputTag("mlflow.data.context", "training")]
    return [
        DatasetInput(_dataset(root, table, position.table_versions[table]), context)
        for table in SCHEMAS
        if table in position.table_versions
    ]


def _dataset(root: Path, table: TableName, version: int) -> Dataset:
    source = DeltaDatasetSource(path=table_path(root, table), delta_table_version=version)
    return Dataset(
        name=table,
        digest=f"version {version}",
        source_type="delta_table",
        source=source.to_json(),
    )
