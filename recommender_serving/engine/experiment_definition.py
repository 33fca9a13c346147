"""What an experiment is: its variants, who sees them, and the question and stop rule fixed before it starts."""

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from recommender_serving.engine.config import require_positive

INTERLEAVED = "interleaved"
"""What a list is of that two variants have drawn up together."""

_NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_NAME = re.compile(_NAME_PATTERN)
VARIANT_PATTERN = f"^{_NAME_PATTERN}:{_NAME_PATTERN}$"
"""How a call names the variant of an experiment that it wants to try out."""

Metric = Literal["ctr", "conversion", "mean_rating"]


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What users of one arm get.

    Attributes:
        algorithm: the deployed model of this algorithm answers.
        version: exactly this model version answers, in service as long as the experiment runs. Left out: whatever is
            deployed.
        popularity_discount: how far popular items are moved down, 0 (not at all) to 1.
        diversity: how much an item loses by resembling one that is listed before it, 0 (nothing) to 1.
        weight: share of the experiment's users, in proportion to the other variants.
    """

    algorithm: Literal["svd", "nmf"]
    version: str | None = None
    popularity_discount: float = 0.0
    diversity: float = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"weight must be a finite number greater than 0, got {self.weight}")
        for field in ("popularity_discount", "diversity"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must lie in 0..1, got {getattr(self, field)}")


class ExclusionSlice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a group's users that an experiment may have; experiments in disjoint slices never share a user."""

    group: str
    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(f"start and end must satisfy 0 <= start < end <= 1, got {self.start} and {self.end}")


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric that must not fall by more than `largest_drop` (absolute); watched daily, it stops the experiment."""

    metric: Metric
    largest_drop: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.largest_drop) and self.largest_drop >= 0):
            raise ValueError(f"largest_drop must be finite and not negative, got {self.largest_drop}")


class ExperimentDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment as it is written down before its start.

    Attributes:
        name: also the salt of its assignment, so experiments assign independently of each other.
        kind: `ab` shows each user one variant; `interleaving` merges control's and treatment's lists by team draft.
        variants: arm -> what it shows. `control` is one of them.
        traffic_share: share of the users that take part; raising it moves nobody between arms.
        slice: restricts the experiment to part of an exclusion group.
        forced: user id -> arm, for trying a variant out; forced users are left out of the analysis.
        metric: the question: `ctr` (clicks by served lists), `conversion` (users with a click), `mean_rating`.
        min_effect_size: the smallest difference worth finding, absolute: 0.02 is a rate of 0.10 against 0.12.
        statistical_power: probability of finding it.
        significance_level: probability of a false alarm, over all arms.
        stop_rule: `fixed` looks once when every arm has its users; `sequential` may look and stop every day.
        attribution_hours: a click without `ranking_id` counts for the user's last list of so many hours.
        guardrails: metrics that stop the experiment when they break.
        secondary_metrics: metrics to read beside the question, which itself is left out; they decide nothing.
    """

    name: str
    variants: dict[str, Variant]
    kind: Literal["ab", "interleaving"] = "ab"
    traffic_share: float = 1.0
    slice: ExclusionSlice | None = None
    forced: dict[str, str] = {}
    metric: Metric = "ctr"
    min_effect_size: float = 0.02
    statistical_power: float = 0.95
    significance_level: float = 0.05
    stop_rule: Literal["fixed", "sequential"] = "fixed"
    attribution_hours: float = 24.0
    guardrails: tuple[Guardrail, ...] = ()
    secondary_metrics: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        self._check_variants()
        if self.kind == "interleaving" and self.secondary_metrics:
            raise ValueError("secondary_metrics must be empty with interleaving: both variants share every list")
        for field in ("statistical_power", "significance_level"):
            if not 0 < getattr(self, field) < 1:
                raise ValueError(f"{field} must lie between 0 and 1, both excluded, got {getattr(self, field)}")
        if not 0 <= self.traffic_share <= 1:
            raise ValueError(f"traffic_share must lie between 0 and 1, got {self.traffic_share}")
        require_positive(self, "min_effect_size", "attribution_hours")

    def _check_variants(self) -> None:
        for name in (self.name, *self.variants):
            if not _NAME.fullmatch(name):
                raise ValueError(f"names of experiments and variants are 1-64 of A-Z a-z 0-9 _ . -, got {name!r}")
        if "control" not in self.variants or len(self.variants) < 2:
            raise ValueError(f"variants must hold 'control' and at least one other, got {sorted(self.variants)}")
        if INTERLEAVED in self.variants:
            raise ValueError(f"{INTERLEAVED!r} names the lists of both variants together, no variant may be called so")
        if self.kind == "interleaving" and len(self.variants) != 2:
            raise ValueError(f"interleaving compares exactly two variants, got {sorted(self.variants)}")
        unknown = sorted(set(self.forced.values()) - set(self.variants))
        if unknown:
            raise ValueError(f"forced names variants that do not exist: {', '.join(unknown)}")

    @property
    def treatments(self) -> tuple[str, ...]:
        """The arms that are compared with control, by name."""
        return tuple(sorted(arm for arm in self.variants if arm != "control"))

    @property
    def shares(self) -> dict[str, float]:
        """Arm -> planned share of the experiment's users, in the order of the names."""
        total = sum(variant.weight for variant in self.variants.values())
        return {arm: self.variants[arm].weight / total for arm in sorted(self.variants)}

    @property
    def fingerprint(self) -> str:
        """Changes with everything that would change the question, not with how many users take part."""
        fixed = msgspec.structs.replace(self, traffic_share=1.0, forced={})
        return hashlib.blake2b(msgspec.json.encode(fixed, order="deterministic"), digest_size=8).hexdigest()


def require_disjoint(definitions: Sequence[ExperimentDefinition]) -> None:
    """Refuse experiments that would share users against their word.

    Raises:
        ValueError: two experiments of one name, or overlapping slices of one exclusion group.
    """
    for position, one in enumerate(definitions):
        for other in definitions[position + 1 :]:
            if one.name == other.name:
                raise ValueError(f"two experiments are called {one.name!r}")
            a, b = one.slice, other.slice
            if a and b and a.group == b.group and a.start < b.end and b.start < a.end:
                raise ValueError(f"experiments {one.name!r} and {other.name!r} overlap in exclusion group {a.group!r}")
