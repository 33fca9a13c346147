"""How the latest training of each algorithm went: its curves, for whoever asks afterwards."""

from pathlib import Path

import msgspec

from recommender_serving.engine.atomic_files import replace_file


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A training.

    Attributes:
        version: of the model that came of it.
        seconds: how long it took.
        curves: loss after every epoch or iteration, by name.
    """

    version: str
    seconds: float
    curves: dict[str, list[float]]


def save_training_record(root: Path, algorithm: str, record: TrainingRecord) -> None:
    """Keep the record; it replaces the former one of this algorithm."""
    replace_file(_path(root, algorithm), msgspec.json.encode(record))


def load_training_record(root: Path, algorithm: str) -> TrainingRecord:
    """The record of the latest training.

    Raises:
        FileNotFoundError: this algorithm was never trained.
    """
    return msgspec.json.decode(_path(root, algorithm).read_bytes(), type=TrainingRecord)


def _path(root: Path, algorithm: str) -> Path:
    return root / "training" / f"{algorithm}.json"
