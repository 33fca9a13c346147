"""Section `promotion`: when a candidate becomes champion, and when it goes."""

import math

import msgspec

from recommender_assets.settings.rules import require_not_negative, require_share
from recommender_serving.engine.config import require_positive


class LiveGuardrailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the service's metrics under a champion bring back the champion before.

    Attributes:
        services: address of every replica, like `http://10.0.0.7:8000`, or a name that stands for all of them; empty =
            the one of section `api`.
        error_share: largest share of requests for recommendations that fail with 500 or more.
        p99_milliseconds: time within which 99 % of them must be answered.
        popular_share: largest share of lists that are the popular one; 1 allows all.
        minimum_requests: with fewer none of these is judged.
        click_through_fall: largest fall of the share of lists that are clicked, against the champion before and as a
            share of what that one had; 1 allows any.
        click_through_hours: for how long after a list a click counts.
        click_through_users: of each of the two champions; with fewer their click-through is not judged.
        grace_minutes: after a promotion, in which nothing is counted.
    """

    services: tuple[str, ...] = ()
    error_share: float = 0.05
    p99_milliseconds: float = 500.0
    popular_share: float = 0.95
    minimum_requests: int = 200
    click_through_fall: float = 0.5
    click_through_hours: float = 1.0
    click_through_users: int = 1_000
    grace_minutes: float = 1.0

    def __post_init__(self) -> None:
        for address in self.services:
            if not address.startswith(("http://", "https://")):
                raise ValueError(f"services must be http or https addresses, got {address!r}")
        for field in ("error_share", "popular_share", "click_through_fall"):
            if not 0 <= getattr(self, field) <= 1:
                raise ValueError(f"{field} must lie between 0 and 1, got {getattr(self, field)}")
        require_positive(self, "p99_milliseconds", "minimum_requests", "click_through_hours", "click_through_users")
        require_not_negative(self, "grace_minutes")


class PromotionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a candidate replaces the champion.

    Attributes:
        metric: the primary metric; whether lower or higher is better follows from it.
        minimum_gain: the whole paired interval of the gain in it must lie above this.
        confidence: of the intervals.
        guardrails: metric -> largest fall against the champion, as a share of the champion's value.
        limits: metric -> worst value that is allowed at all, also for the first champion.
        live_guardrails: when a champion is taken out of service again.
    """

    metric: str = "rmse"
    minimum_gain: float = 0.0
    confidence: float = 0.95
    guardrails: dict[str, float] = msgspec.field(
        default_factory=lambda: {"catalogue_ndcg_at_10": 0.05, "catalogue_coverage_at_20": 0.5}
    )
    limits: dict[str, float] = msgspec.field(
        default_factory=lambda: {"fold_in_error": 1e-5, "scoring_milliseconds": 50.0}
    )
    live_guardrails: LiveGuardrailSettings = LiveGuardrailSettings()

    def __post_init__(self) -> None:
        require_not_negative(self, "minimum_gain")
        require_share(self, "confidence")
        for metric, fall in self.guardrails.items():
            if not 0 < fall < 1:
                raise ValueError(f"guardrails.{metric} must lie between 0 and 1, got {fall}")
        for metric, limit in self.limits.items():
            if not math.isfinite(limit):
                raise ValueError(f"limits.{metric} must be finite, got {limit}")
