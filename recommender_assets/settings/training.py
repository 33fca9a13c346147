"""Sections `training`, `features` and `evaluation`."""

from typing import Literal

import msgspec

from recommender_assets.settings.rules import require_not_negative, require_share
from recommender_serving.engine.config import require_positive


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Engine, seed, hold-out, and when to train again: as soon as one of the rules holds; 0 switches a rule off.

    Attributes:
        engine: `local` (compiled, in one process) or `spark` (MLlib's ALS on the executors of `spark.master`).
        seed: of everything random.
        hold_out_share: share of (user, item) pairs that never train item factors.
        retrain_after_interactions: accepted or imported since the latest promotion decision.
        retrain_after_share: the same as a share of the pairs that were learned from then.
        retrain_after_seconds: age of that decision, if anything at all is new since.
        retrain_attempts: failed runs in a row after which retraining waits for a person.
    """

    engine: Literal["local", "spark"] = "local"
    seed: int = 0
    hold_out_share: float = 0.1
    retrain_after_interactions: int = 1_000
    retrain_after_share: float = 0.0
    retrain_after_seconds: float = 0.0
    retrain_attempts: int = 5

    def __post_init__(self) -> None:
        rules = ("retrain_after_interactions", "retrain_after_share", "retrain_after_seconds")
        require_not_negative(self, *rules)
        if not any(getattr(self, rule) for rule in rules):
            raise ValueError(f"one of {', '.join(rules)} must be greater than 0, got 0 for all")
        require_positive(self, "retrain_attempts")
        require_share(self, "hold_out_share")


class FeaturesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Feature selection and reduction: columns kept by mutual information, and the share of dimensions kept of them."""

    selected_columns: int = 65
    correlation_limit: float = 0.99
    kept_share: float = 0.33

    def __post_init__(self) -> None:
        require_positive(self, "selected_columns")
        require_share(self, "correlation_limit", "kept_share")


class EvaluationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is measured on the hold-out: `rating`, `rerank`, `catalogue`, `leave_one_out`."""

    protocols: tuple[Literal["rating", "rerank", "catalogue", "leave_one_out"], ...] = ("rating", "rerank", "catalogue")

    def __post_init__(self) -> None:
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise ValueError(f"protocols must name each protocol once and at least one, got {list(self.protocols)}")
