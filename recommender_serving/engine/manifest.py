"""`manifest.json` of a model file: what the model is, where its past ends, and which files it consists of."""

import math
from typing import Any

import msgspec

from recommender_serving.engine.config import EventWeights, RatingScale

FORMAT_VERSION = 1
ALGORITHMS = ("svd", "nmf")


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the past is inside a model.

    Attributes:
        table_versions: Delta version of every table that was read.
        topic: Kafka topic.
        topic_id: the broker's id of that topic, "" when no topic was read yet.
        next_offsets: partition -> first offset that is not inside.
    """

    table_versions: dict[str, int] = {}
    topic: str = ""
    topic_id: str = ""
    next_offsets: dict[str, int] = {}


class HeadScalars(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of both heads that are no arrays."""

    global_mean: float
    regularization: float
    bias_regularization: float
    has_user_bias: bool
    non_negative: bool
    ranking_regularization: float
    unobserved_weight: float
    ranking_non_negative: bool

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            _require_finite(field, float(getattr(self, field)))
        positive = ["regularization", "ranking_regularization"] + ["bias_regularization"] * self.has_user_bias
        for field in positive:
            if not getattr(self, field) > 0:
                raise ValueError(f"{field} must be greater than 0, got {getattr(self, field)}")
        if self.unobserved_weight < 0:
            raise ValueError(f"unobserved_weight must not be negative, got {self.unobserved_weight}")
        if self.has_user_bias and self.non_negative:
            raise ValueError("has_user_bias and non_negative exclude each other")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`manifest.json`: what the model is and which files it consists of.

    Attributes:
        algorithm: `svd` or `nmf`.
        version: unique name of the model.
        created_at: RFC 3339 time with an offset.
        hyper_parameters: as trained.
        metrics: name -> finite number.
        position: up to where the past is inside.
        weights: strengths the history was observed with; live events use the same.
        scale: rating scale.
        seed: of the training.
        library_versions: distribution -> version.
        scalars: filled by `write_model`.
        files: array name -> SHA-256 of its file, filled by `write_model`.
    """

    format_version: int = FORMAT_VERSION
    algorithm: str
    version: str
    created_at: str
    hyper_parameters: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    position: Position = Position()
    weights: EventWeights = EventWeights()
    scale: RatingScale = RatingScale()
    seed: int = 0
    library_versions: dict[str, str] = {}
    scalars: HeadScalars | None = None
    files: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version must be {FORMAT_VERSION} for this program, got {self.format_version}")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {self.algorithm!r}")
        if not self.version:
            raise ValueError("version must not be empty")
        for name, value in self.metrics.items():
            _require_finite(f"metrics.{name}", value)


def _require_finite(field: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{field} must be finite, got {value}")
