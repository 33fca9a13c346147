"""The promotion policy: which candidate, if any, replaces the champion, and why."""

import math
from collections.abc import Sequence

import msgspec

from recommender_assets.settings import PromotionSettings

LOWER_IS_BETTER = frozenset({"rmse", "mae", "catalogue_gini_at_20"})
_ROUNDING = 1e-9  # a fall by exactly the limit is allowed


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A model's figures on the hold-out.

    Attributes:
        version, algorithm: of the model.
        metrics: by name.
        floors: for each metric the floors it stands next to.
        intervals: both ends of the metrics' intervals over users.
        curves: for each curve the values for lists of 1, 2, ... items, of the `model` and of its floors.
    """

    version: str
    algorithm: str
    metrics: dict[str, float]
    floors: dict[str, dict[str, float]] = {}
    intervals: dict[str, tuple[float, float]] = {}
    curves: dict[str, dict[str, list[float]]] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy says about one candidate.

    Attributes:
        objections: why it may not become champion; empty if it may.
        gain: improvement of the primary metric over the champion (positive is better), None if not compared.
        guardrail_change: relative change of the guardrail metric (positive is better), None likewise.
        beats_floors: whether primary metric and guardrail are both better than every floor.
    """

    version: str
    algorithm: str
    beats_floors: bool
    objections: tuple[str, ...] = ()
    gain: float | None = None
    guardrail_change: float | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: the champion from now on (None if there is still none) and the verdict on each candidate."""

    promoted: bool
    champion: str | None
    predecessor: str | None
    reason: str
    verdicts: tuple[Verdict, ...]

    def fit_to_deploy(self) -> dict[str, str]:
        """Version by algorithm of the candidates that beat their floors."""
        return {verdict.algorithm: verdict.version for verdict in self.verdicts if verdict.beats_floors}


def decide(candidates: Sequence[Standing], champion: Standing | None, policy: PromotionSettings) -> Decision:
    """Compare the candidates with the champion on the same hold-out.

    A candidate may become champion if its primary metric and its guardrail beat their floors, and, where there is a
    champion, if it gains more than `policy.minimum_gain` in the primary metric and loses at most the share
    `policy.guardrail_drop` of the guardrail. The best of those by the primary metric is promoted.
    """
    verdicts = tuple(_judge(candidate, champion, policy) for candidate in candidates)
    passed = {verdict.version for verdict in verdicts if not verdict.objections}
    ranked = sorted(
        (candidate for candidate in candidates if candidate.version in passed),
        key=lambda c: (-_goodness(policy.metric, c.metrics[policy.metric]), c.version),
    )
    current = champion.version if champion else None
    if not ranked:
        reason = "; ".join(f"{v.version}: {', '.join(v.objections)}" for v in verdicts) or "no candidate"
        return Decision(promoted=False, champion=current, predecessor=None, reason=reason, verdicts=verdicts)
    winner = ranked[0]
    return Decision(
        promoted=True,
        champion=winner.version,
        predecessor=current,
        reason=_praise(winner, champion, policy),
        verdicts=verdicts,
    )


def beats(metric: str, value: float, other: float) -> bool:
    """Whether `value` is strictly better than `other`; a value that is not finite never is."""
    return math.isfinite(value) and _goodness(metric, value) > _goodness(metric, other)


def best_floor(standing: Standing, metric: str) -> tuple[str, float] | None:
    """Name and value of the floor that is hardest to beat, or None if the metric has no floor."""
    floors = standing.floors.get(metric, {})
    return max(floors.items(), key=lambda item: _goodness(metric, item[1])) if floors else None


def _judge(candidate: Standing, champion: Standing | None, policy: PromotionSettings) -> Verdict:
    metrics = tuple(dict.fromkeys((policy.metric, policy.guardrail)))
    floor_objections = [objection for metric in metrics for objection in _below_floor(candidate, metric)]
    if champion is None or floor_objections:
        return Verdict(
            version=candidate.version,
            algorithm=candidate.algorithm,
            beats_floors=not floor_objections,
            objections=tuple(floor_objections),
        )
    unmeasured = tuple(
        f"{metric} of champion {champion.version} was not measured"
        for metric in metrics
        if not math.isfinite(champion.metrics.get(metric, math.nan))
    )
    if unmeasured:
        return Verdict(
            version=candidate.version, algorithm=candidate.algorithm, beats_floors=True, objections=unmeasured
        )
    gain = _gain(policy.metric, candidate, champion)
    change = _gain(policy.guardrail, candidate, champion) / max(abs(champion.metrics[policy.guardrail]), math.ulp(1.0))
    objections = []
    if not gain > policy.minimum_gain:
        objections.append(
            f"{policy.metric} {candidate.metrics[policy.metric]:.4f} gains {gain:+.4f} on champion {champion.version} "
            f"({champion.metrics[policy.metric]:.4f}), more than {policy.minimum_gain:g} is needed"
        )
    if change < -policy.guardrail_drop - _ROUNDING:
        objections.append(
            f"{policy.guardrail} {candidate.metrics[policy.guardrail]:.4f} is {-change:.1%} worse than the champion's "
            f"{champion.metrics[policy.guardrail]:.4f}, at most {policy.guardrail_drop:.1%} is allowed"
        )
    return Verdict(
        version=candidate.version,
        algorithm=candidate.algorithm,
        beats_floors=True,
        objections=tuple(objections),
        gain=gain,
        guardrail_change=change,
    )


def _below_floor(candidate: Standing, metric: str) -> list[str]:
    value = candidate.metrics.get(metric, math.nan)
    if not math.isfinite(value):
        return [f"{metric} was not measured"]
    floor = best_floor(candidate, metric)
    if floor and not beats(metric, value, floor[1]):
        return [f"{metric} {value:.4f} does not beat its floor {floor[0]} {floor[1]:.4f}"]
    return []


def _praise(winner: Standing, champion: Standing | None, policy: PromotionSettings) -> str:
    value = f"{policy.metric} {winner.metrics[policy.metric]:.4f}"
    if champion is None:
        return f"first champion, beats its floors: {value}"
    return f"{value} beats champion {champion.version} ({champion.metrics[policy.metric]:.4f})"


def _gain(metric: str, candidate: Standing, champion: Standing) -> float:
    return _goodness(metric, candidate.metrics[metric]) - _goodness(metric, champion.metrics[metric])


def _goodness(metric: str, value: float) -> float:
    return -value if metric in LOWER_IS_BETTER else value
